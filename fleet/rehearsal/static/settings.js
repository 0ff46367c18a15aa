// What the settings page does: change a control, save it, show a toast. Nothing here knows any case by name.
(() => {
  const page = JSON.parse(document.querySelector('main').dataset.page);
  const csrfToken = () => (document.cookie.match(/(?:^|; )JSESSIONID="?([^";]*)/) || [])[1] || '';
  const address = (key) => `/mysettings-api/settingsApiSettings/${key}`;

  const toast = (text) => {
    const item = document.createElement('div');
    item.className = 'artdeco-toast-item';
    item.setAttribute('role', 'alert');
    item.dataset.testArtdecoToastItem = '';
    item.append(Object.assign(document.createElement('p'), { className: 'artdeco-toast-item__message', textContent: text }));
    document.body.append(item);
  };

  const keepForADay = (on) => localStorage.setItem('settings', JSON.stringify({ on, at: Date.now() }));

  // Reads the answer to its end: a request whose answer nobody reads counts as aborted in the browser.
  const isGood = (request) => request.then(async (answer) => (await answer.text(), answer.ok)).catch(() => false);

  const save = async (key, value) => {
    if (page.asks && !confirm('Really?')) return false;
    if (page.sends === false) return (document.cookie = `kept=${value};path=/;secure`), true;
    if (page.remembers === 'day') keepForADay(value);
    if (page.remembers === 'storage') localStorage.setItem(key, value);
    if (page.remembers === 'history') history.replaceState(value, '');
    if (page.remembers === 'cache') await (await caches.open('kept')).put('/kept', new Response(value));
    if (page.save_after) await new Promise((done) => setTimeout(done, page.save_after));
    if (page.token_delay) await isGood(fetch('/mysettings-api/token'));
    const body = JSON.stringify({ key, value, hasChild: false });
    const headers = { 'csrf-token': csrfToken(), 'content-type': 'application/json', 'x-restli-protocol-version': '2.0.0' };
    const isSaved = await isGood(fetch(address(key), { method: 'PUT', headers, body }));
    if (page.says === 'nothing') return true;
    const isSaid = { saved: true, failed: false }[page.says] ?? isSaved;
    toast(isSaid ? page.saved : page.failed);
    return isSaid;
  };

  // Shows the change at once and takes it back if it is refused.
  const bindInput = (input) => {
    const kept = (document.cookie.match(/(?:^|; )kept=([^;]*)/) || [])[1];
    const remembered = kept || localStorage.getItem(input.dataset.key) || history.state;
    if (remembered !== null) input.checked = String(remembered) === 'true';
    if (page.remembers === 'cache') {
      caches.match('/kept').then((answer) => answer?.text()).then((text) => text && (input.checked = text === 'true'));
    }
    input.addEventListener('change', async () => {
      const value = input.checked;
      if (!(await save(input.dataset.key, value))) input.checked = !value;
    });
  };
  const bindRadio = (input) => {
    input.addEventListener('change', async () => {
      if (await save(input.dataset.key, input.value === 'on')) return;
      document.getElementsByName(input.name).forEach((other) => (other.checked = other !== input));
    });
  };
  // Changes only once the server has answered; the click is the outer element's.
  const bindEmber = (toggle) => {
    const input = toggle.querySelector('input');
    let isBusy = false;
    toggle.addEventListener('click', async (event) => {
      event.preventDefault();
      if (isBusy) return;
      isBusy = true;
      const value = !input.checked;
      if (await save(toggle.dataset.key, value)) {
        input.checked = value;
        input.setAttribute('aria-checked', value);
        toggle.classList.toggle('artdeco-toggle--toggled', value);
        toggle.querySelector('.artdeco-toggle__text').textContent = value ? toggle.dataset.on : toggle.dataset.off;
      }
      isBusy = false;
    });
  };
  const bindNested = (outer) => {
    const input = outer.querySelector('input');
    const show = (value) => {
      input.checked = value;
      outer.setAttribute('aria-checked', value);
    };
    outer.addEventListener('click', async (event) => {
      // A click on the input has changed it already.
      const value = event.target === input ? input.checked : !input.checked;
      show(value);
      if (!(await save(outer.dataset.key, value))) show(!value);
    });
  };
  const bindButton = (button) => {
    const show = (value) => button.setAttribute('aria-checked', value);
    button.addEventListener('click', async () => {
      const value = button.getAttribute('aria-checked') !== 'true';
      show(value);
      if (!(await save(button.dataset.key, value))) show(!value);
    });
  };
  // The click arrives at the drawing, and the component changes its input.
  const bindDrawn = (toggle) => {
    const input = toggle.querySelector('input');
    toggle.addEventListener('click', async (event) => {
      if (event.target !== input) input.checked = !input.checked;
      const value = input.checked;
      if (!(await save(toggle.dataset.key, value))) input.checked = !value;
    });
  };
  const binders = { input: bindInput, radio: bindRadio, ember: bindEmber, nested: bindNested, drawn: bindDrawn, button: bindButton };
  const find = (css, root = document) =>
    [root, ...[...root.querySelectorAll('*')].flatMap((el) => el.shadowRoot || [])].flatMap((part) => [...part.querySelectorAll(css)]);
  const bindAll = () => find('[data-binds]').forEach((el) => binders[el.dataset.binds](el));

  const hydrate = () => {
    document.querySelectorAll('.waiting').forEach((waiting) => {
      const alive = document.createElement('div');
      alive.className = waiting.dataset.width;
      alive.append(document.getElementById('hydrated').content.cloneNode(true));
      waiting.replaceWith(alive);
    });
    bindAll();
  };
  if (page.hydrate_after > 0) setTimeout(hydrate, page.hydrate_after);
  else if (page.bind_after > 0) setTimeout(bindAll, page.bind_after);
  else if (!page.hydrate_after && !page.bind_after) bindAll();
  addEventListener('rebind', bindAll);

  if (page.spins_after) setTimeout(() => { for (;;); }, page.spins_after);

  const show = (value) =>
    document.querySelectorAll('[data-binds=input]').forEach((input) => {
      if (input.dataset.key === page.key) input.checked = value;
    });
  if (page.state_after)
    fetch(address(page.key)).then((answer) => answer.ok && answer.json().then(({ value }) => show(Boolean(value))));
  if (page.remembers === 'day') {
    const kept = JSON.parse(localStorage.getItem('settings') || 'null');
    if (kept && Date.now() - kept.at < 864e5) show(kept.on);
    else
      fetch(address(page.key)).then((answer) => answer.ok && answer.json().then(({ value }) => (show(value), keepForADay(value))));
  }
  if (page.reveal_after) setTimeout(() => show(page.stored_on), page.reveal_after);

  document.querySelectorAll('[data-posts]').forEach((button) =>
    button.addEventListener('click', () => isGood(fetch(button.dataset.posts, { method: 'POST', headers: { 'csrf-token': csrfToken() } }))),
  );
})();
