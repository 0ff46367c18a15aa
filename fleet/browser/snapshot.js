// Runs beside the page's own scripts, in a world that they cannot see. Nothing here clicks, types or changes the document
// (scrolling aside); `forget` alone writes, to the browser's storage. The value of this file makes an object of functions
// from the table of control_kinds.py; tab.py calls them.
((KINDS) => {
  const PRESSABLE = 'a[href],area[href],button,input:not([type=hidden]),select,textarea,summary,iframe,[onclick],[tabindex]:not([tabindex="-1"]),[contenteditable=""],[contenteditable=true],' +
    ['button', 'link', 'switch', 'checkbox', 'radio', 'tab', 'menuitem', 'option', 'slider', 'textbox', 'combobox'].map((role) => `[role=${role}]`).join();
  const OVER_THE_PAGE = 'dialog,[popover],[role=dialog],[role=alertdialog],[aria-modal=true]';
  const ARMED = Symbol.for('fleet press');
  const SMALLEST = 8; // CSS pixels; inputs that a style hides are 0 or 1 wide
  const TALLEST = 120; // what is drawn for one control alone: a toggle, or the row that it stands in

  const fold = (text) => (text || '').normalize('NFKC').replace(/[’ʼ`´]/g, "'").replace(/\s+/g, ' ').trim().toLowerCase();

  const query = (css, root = document) => {
    const plain = [...root.querySelectorAll(css)];
    if (plain.length) return plain;
    // Open shadow roots are walked only where the document itself has no match.
    return [...root.querySelectorAll('*')].filter((el) => el.shadowRoot).flatMap((el) => query(css, el.shadowRoot));
  };

  const everywhere = (css, root = document) =>
    [...root.querySelectorAll(css), ...[...root.querySelectorAll('*')].flatMap((el) => (el.shadowRoot ? everywhere(css, el.shadowRoot) : []))];
  const parentOf = (el) => el.parentElement || el.getRootNode().host || null;
  const upwards = (el) => (el ? [el, ...upwards(parentOf(el))] : []);

  const isOffered = (el) => el.isConnected && !el.closest('[aria-hidden="true"],[inert]');
  const isVisible = (el) => {
    const box = el.getBoundingClientRect();
    if (box.width < SMALLEST || box.height < SMALLEST) return false;
    if (box.right + scrollX <= 0 || box.bottom + scrollY <= 0) return false; // parked outside the page
    if (!el.checkVisibility({ visibilityProperty: true })) return false;
    // A real input is often laid transparently over its drawing; what is around it must be seen.
    const seen = el.matches('input') ? el.parentElement : el;
    return !seen || seen.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  };

  // Of two matches one inside another, the outer one counts; a control's own label stands in for a hidden input.
  const distinct = (elements) => elements.filter((el) => !elements.some((other) => other !== el && other.contains(el)));
  const labelsOf = (el) => [...(el.labels || [])];
  const faceOf = (el, kind) => {
    const all = [el, ...el.querySelectorAll(KINDS[kind].css)];
    if (isVisible(el)) return el;
    return all.flatMap(labelsOf).find((label) => isOffered(label) && isVisible(label)) || null;
  };

  const radioState = (el) => {
    if (el.matches('input') ? el.checked : el.getAttribute('aria-checked') === 'true') return true;
    const group = el.matches('input')
      ? query('input[type=radio]', el.getRootNode()).filter((other) => other.name === el.name && other.form === el.form)
      : [...(el.closest('[role=radiogroup]') || el.getRootNode()).querySelectorAll('[role=radio]')];
    const chosen = group.some((other) => (other.matches('input') ? other.checked : other.getAttribute('aria-checked') === 'true'));
    return chosen ? false : null; // no option chosen at all says nothing yet
  };
  // What says two things of itself says nothing: a property and an attribute that differ.
  const isOfTwoMinds = (el) => {
    const said = el.matches('input') && el.getAttribute('aria-checked');
    return said === 'mixed' || (said === 'true' && !el.checked) || (said === 'false' && el.checked);
  };
  const stateOf = (el, kind, strictly) => {
    if (strictly && isOfTwoMinds(el)) return null;
    if (KINDS[kind].state === 'chosen') return radioState(el);
    if (el.matches('input[type=checkbox],input[type=radio]')) return el.indeterminate ? null : el.checked;
    return { true: true, false: false }[el.getAttribute('aria-checked')] ?? null;
  };
  const isOfGroup = (el) => el.matches('input[type=radio],[role=radio],[role=menuitemradio]');
  const isControl = (el, kind) => el.matches('input[type=checkbox],input[type=radio],[aria-checked]') && isOfGroup(el) === (KINDS[kind].state === 'chosen');
  const wholeState = (el, kind, strictly) => {
    if (el.closest('[aria-busy="true"]')) return null; // the page says itself that it is not there yet
    // An outer switch and the input inside it must agree, else the page is still changing.
    const inner = [...el.querySelectorAll(KINDS[kind].css)];
    const states = [el, ...inner].filter((one) => isControl(one, kind)).map((one) => stateOf(one, kind, strictly));
    return states.length && states.every((state) => state === states[0]) ? states[0] : null;
  };
  const isEnabled = (el, kind) =>
    [el, ...el.querySelectorAll(KINDS[kind].css)].every((one) => !one.matches(':disabled') && !one.closest('[aria-disabled="true"]'));

  const labelsAround = (el) => [el, ...el.querySelectorAll('input')].flatMap(labelsOf);
  // What a component draws for its control beside or over it, such as the slider of a transparent input: part of the
  // smallest element around both that holds nothing else to press. What is fixed to the window, or a dialog, is not.
  const drawing = (el, hit, face) => {
    const around = upwards(el).find((one) => one.contains(hit));
    if (!around || around.matches('body,html') || around.getBoundingClientRect().height > Math.max(TALLEST, 4 * face.getBoundingClientRect().height)) return null;
    const own = [el, ...el.querySelectorAll('*')];
    const isElse = (other) => (other.contains(el) ? other.matches('a,button') : !own.includes(other));
    if ([around, ...everywhere(PRESSABLE, around)].some((other) => other.matches(PRESSABLE) && isElse(other))) return null;
    const between = upwards(hit).slice(0, upwards(hit).indexOf(around));
    const isApart = (one) => one.matches(OVER_THE_PAGE) || ['fixed', 'sticky'].includes(getComputedStyle(one).position);
    return between.some(isApart) ? null : around;
  };
  // What a click on the middle of `face` would reach and so may be pressed, as what must hear it: the control, its own
  // label, or what is drawn for it; null if something else covers it (a link inside a label is something else).
  const reached = (el, face) =>
    // Where a banner lies over the lower or upper part of the window, another place may be free.
    ['center', 'start', 'end'].reduce((found, block) => found || reachedAt(el, face, block), null);
  const reachedAt = (el, face, block) => {
    face.scrollIntoView({ block, inline: 'nearest', behavior: 'instant' });
    const box = face.getBoundingClientRect();
    const middle = [box.x + box.width / 2, box.y + box.height / 2];
    let hit = document.elementFromPoint(...middle);
    for (let deeper; hit?.shadowRoot && (deeper = hit.shadowRoot.elementFromPoint(...middle)) && deeper !== hit; ) hit = deeper;
    if (!hit) return null;
    if (upwards(hit).includes(el)) return { hit, own: el };
    const label = labelsAround(el).find((one) => one.contains(hit));
    if (label) return !hit.closest('a,button') && !hit.querySelector('a,button') ? { hit, own: label } : null;
    const own = drawing(el, hit, face);
    return own && { hit, own };
  };

  // What the browser does by itself, whether or not a script listens: follow a link, send a form that says how.
  const isSubmit = (el) => el.matches('button:not([type]),button[type=submit],input:is([type=submit],[type=image])');
  const isSentAlone = (form) => Boolean(form) && (form.method === 'post' || form.hasAttribute('action'));
  const actsAlone = (el) => el.matches('a[href],summary') || (isSubmit(el) && isSentAlone(el.form));
  const isSent = (el) => isSentAlone(el.form) && [...el.form.elements, ...el.form.querySelectorAll('input[type=image]')].some(isSubmit);
  const languageOf = (el) => upwards(el).map((one) => one.getAttribute('lang')).find((lang) => lang) || '';

  // The browser has no name for a hidden input, whose label stands in for it.
  const captionOf = (el, face) => (face === el ? '' : face.innerText.slice(0, 500));

  const describe = (el, kind, strictly) => {
    const face = faceOf(el, kind);
    if (!face || !isOffered(el)) return null;
    const inputs = [el, ...el.querySelectorAll('input')].filter((one) => one.matches('input[type=checkbox],input[type=radio]'));
    const boxes = [face, ...labelsOf(el).filter(isVisible)].map((one) => one.getBoundingClientRect());
    const left = Math.min(...boxes.map((box) => box.left)), top = Math.min(...boxes.map((box) => box.top));
    const right = Math.max(...boxes.map((box) => box.right)), bottom = Math.max(...boxes.map((box) => box.bottom));
    return {
      state: wholeState(el, kind, strictly),
      enabled: isEnabled(el, kind),
      uncovered: reached(el, face) !== null,
      acts: actsAlone(el),
      is_input: inputs.length > 0,
      is_sent: inputs.some(isSent),
      caption: captionOf(el, face),
      language: languageOf(el),
      box: { x: left + scrollX, y: top + scrollY, width: right - left, height: bottom - top },
    };
  };

  const candidates = (elements, kind) => distinct(elements).filter((el) => isOffered(el) && faceOf(el, kind));
  const controls = (elements, kind, strictly) => candidates(elements, kind).map((el) => describe(el, kind, strictly));
  // Of whom to ask the name: what the selector found, and what is inside; whatever may have a role.
  const subjects = (css, kind) => {
    const [el] = candidates(query(css), kind);
    return el ? [el, ...el.querySelectorAll(KINDS[kind].may_be)] : [];
  };
  const roled = (kind) => everywhere(KINDS[kind].may_be).filter((el) => isOffered(el) && faceOf(el, kind));
  // Where to press, 'nothing' if there is no element at all, or null if what is there must not be pressed.
  // Until `disarm`, a press that would reach anything but that one control is stopped before the page hears of it.
  const PRESS = ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click'];
  const KEYS = ['keydown', 'keypress', 'keyup', 'beforeinput']; // at the desk somebody may press one meanwhile
  const aim = (cssOrElements, kind, state) => {
    const elements = typeof cssOrElements === 'string' ? query(cssOrElements) : cssOrElements;
    if (!elements.length) return 'nothing';
    const found = candidates(elements, kind);
    const [el] = found;
    if (found.length !== 1 || !isEnabled(el, kind) || (state !== null && wholeState(el, kind, true) !== state)) return null;
    const face = faceOf(el, kind);
    const target = reached(el, face);
    if (!target) return null;
    const own = [el, ...labelsAround(el), target.own];
    const press = { begun: false, arrived: false, stopped: false };
    const guard = (event) => {
      if (!event.isTrusted) return; // the page's own doing
      if (own.some((one) => event.composedPath().includes(one))) {
        press.begun = true;
        press.arrived ||= event.type === 'click';
      } else {
        event.preventDefault();
        event.stopImmediatePropagation();
        press.stopped = true;
      }
    };
    const refuse = (event) => {
      if (!event.isTrusted) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    };
    PRESS.forEach((type) => addEventListener(type, guard, true));
    KEYS.forEach((type) => addEventListener(type, refuse, true));
    globalThis[ARMED] = () => {
      PRESS.forEach((type) => removeEventListener(type, guard, true));
      KEYS.forEach((type) => removeEventListener(type, refuse, true));
      return press;
    };
    const box = face.getBoundingClientRect();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2, caption: captionOf(el, face), language: languageOf(el) };
  };
  // All that hears a press, but for the window and what is inside of the first of them, the control: its labels, what is
  // drawn over it, and everything around these. Null if none of it need hear anything.
  const hearers = (cssOrElements, kind) => {
    const [el] = candidates(typeof cssOrElements === 'string' ? query(cssOrElements) : cssOrElements, kind);
    if (!el || actsAlone(el)) return null;
    const hit = reached(el, faceOf(el, kind))?.hit;
    return [...new Set([el, ...labelsAround(el), ...(hit ? [hit] : [])].flatMap(upwards)), document];
  };
  const disarm = () => globalThis[ARMED]();

  const signs = (list) =>
    list.map(({ css, heading }) => {
      if (css) return query(css).some((el) => isOffered(el) && el.checkVisibility({ visibilityProperty: true }));
      if (!heading) return false; // a sign by address; Python compares those
      const wanted = fold(heading);
      return query('h1,h2,h3,[role=heading]').some((el) => el.checkVisibility({ visibilityProperty: true }) && fold(el.textContent).includes(wanted));
    });
  const texts = ({ css, attribute }) => query(css).map((el) => (attribute ? el.getAttribute(attribute) : el.textContent)).filter((text) => text !== null && text.trim() !== '');

  // A sign-in form laid over the page. One that sets a new password is a setting like others.
  const asksPassword = () =>
    everywhere('input[type=password]').some((el) => {
      if (!isOffered(el) || !isVisible(el) || el.disabled || el.autocomplete === 'new-password') return false;
      const over = upwards(el).find((one) => one.matches(OVER_THE_PAGE) || getComputedStyle(one).position === 'fixed');
      return Boolean(over) && !over.querySelector('main,header') && everywhere('input[type=password]', over).length === 1;
    });

  // Many a page builds what is below only once somebody scrolls there.
  const lookFurther = (css) => css && !query(css).length && scrollBy({ top: innerHeight, behavior: 'instant' });

  const snapshot = (wanted) => (lookFurther(wanted.css), {
    loaded: document.readyState === 'complete',
    address: location.href,
    asks_password: asksPassword(),
    signs: signs(wanted.signs),
    identity: wanted.identity ? texts(wanted.identity) : null,
    ready: wanted.ready ? query(wanted.ready).length > 0 : true,
    matches: wanted.css ? query(wanted.css).length : 0,
    controls: wanted.css ? controls(query(wanted.css), wanted.kind, wanted.strictly) : [],
  });

  // Storage is out of reach in some documents (sandboxed ones, data: addresses).
  const entries = (name) => { try { return Object.entries(window[name]); } catch { return []; } };
  const stored = () => ({ origin: location.origin, local: entries('localStorage') });
  // Before a document's own scripts run: all that the page has kept, but for what makes up the session.
  const forget = ({ origin, kept, databases }) => {
    if (location.origin !== origin || window !== top) return;
    if (window.name) window.name = '';
    if (history.state !== null) history.replaceState(null, '');
    sessionStorage.clear();
    Object.keys(localStorage).forEach((key) => kept.includes(key) || localStorage.removeItem(key));
    databases.forEach((name) => indexedDB.deleteDatabase(name)); // what opens it later waits for that
  };

  return { snapshot, controls, subjects, roled, aim, disarm, hearers, stored, forget };
})
