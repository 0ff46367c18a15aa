// The script of the played settings page: saves by itself, and is as late or forgetful as the page says it is.
(() => {
  const setting = document.querySelector('#setting');
  const { key, saved, failed, on, off, hydratedAfter, stateAfter, readsAgain } = setting.dataset;
  const address = (name) => `/mysettings-api/settingsApiSettings/${name}`;
  const headers = () => ({
    'csrf-token': document.cookie.match(/(?:^|; )JSESSIONID=([^;]*)/)?.[1] ?? '',
    'x-restli-protocol-version': '2.0.0',
  });

  const toast = (text) => {
    const item = document.createElement('div');
    item.className = 'artdeco-toast-item';
    item.innerHTML = '<p class="artdeco-toast-item__message" role="alert"></p>';
    item.firstChild.textContent = text;
    document.querySelector('#toasts').replaceChildren(item);
  };

  const save = async (value, name = key) => {
    let isSaved = false;
    try {
      const body = JSON.stringify({ value, key: name, hasChild: false });
      const answer = await fetch(address(name), {
        method: 'PUT', body, headers: { ...headers(), 'content-type': 'application/json' },
      });
      await answer.text(); // a connection that breaks is noticed only here
      isSaved = answer.ok;
    } catch {
      // Told below, like a refusal.
    }
    toast(isSaved ? saved : failed);
    if (isSaved && readsAgain !== undefined) {
      await fetch(address(name), { cache: 'reload', headers: { ...headers(), 'x-after-save': '1' } });
    }
    return isSaved;
  };

  const show = (input, isOn) => {
    input.checked = isOn;
    if (input.hasAttribute('aria-checked')) input.setAttribute('aria-checked', isOn);
    const outer = input.closest('.js-gated');
    if (outer?.hasAttribute('aria-checked')) outer.setAttribute('aria-checked', isOn);
    if (outer?.matches('.artdeco-toggle')) {
      outer.classList.toggle('artdeco-toggle--toggled', isOn);
      outer.querySelector('.artdeco-toggle__text').textContent = isOn ? on : off;
    }
  };

  // The new state shows at once, and is taken back if the server refuses.
  const wireInput = (input) =>
    input.addEventListener('change', async () => {
      const wanted = input.checked;
      if (!(await save(wanted))) show(input, !wanted);
    });

  // The new state shows only after the server has answered; the browser's own toggling is prevented.
  const wireGated = (outer) => {
    const input = outer.querySelector('.js-control');
    let isOn = input.checked;
    let isBusy = false;
    outer.addEventListener('click', async (event) => {
      event.preventDefault();
      if (isBusy || input.disabled) return;
      isBusy = true;
      if (await save(!isOn)) show(input, (isOn = !isOn));
      isBusy = false;
    });
  };

  const wire = (root) => {
    root.querySelectorAll('.js-gated').forEach(wireGated);
    root.querySelectorAll('.js-control').forEach((input) => input.closest('.js-gated') || wireInput(input));
    root.querySelectorAll('.js-option').forEach((option) => option.addEventListener('change', () => save(option.value)));
    root.querySelectorAll('.js-other').forEach((other) =>
      other.addEventListener('change', () => save(other.checked, other.dataset.key)));
  };

  const hydrate = () => {
    const template = setting.querySelector('#hydrated');
    for (const slot of setting.querySelectorAll('.slot')) {
      slot.replaceChildren(template.content.cloneNode(true));
      wire(slot);
    }
  };

  const fetchState = async () => {
    const answer = await fetch(address(key), { headers: headers() });
    const { value } = await answer.json();
    setting.querySelectorAll('.js-control').forEach((input) => show(input, value));
  };

  if (hydratedAfter === undefined) wire(setting);
  else setTimeout(hydrate, Number(hydratedAfter));
  if (stateAfter !== undefined) setTimeout(fetchState, Number(stateAfter));
  document.querySelectorAll('.cover button').forEach((button) =>
    button.addEventListener('click', async () => {
      await fetch('/cookie-consent', { method: 'POST' });
      document.querySelector('.cover').remove();
    }));
})();
