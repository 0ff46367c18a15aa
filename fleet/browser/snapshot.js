// Runs beside the page's own scripts, in a world that they cannot see. Nothing here clicks, types or changes the document
// (scrolling aside); `restore` alone writes, to the browser's storage. The value of this file is an object of functions,
// which fleet/browser/tab.py calls.
(() => {
  const ROLES = { switch: '[role=switch],input[type=checkbox]', checkbox: '[role=checkbox],[role=switch],input[type=checkbox]', radio: '[role=radio],input[type=radio]', button: 'button' };
  const ARMED = Symbol.for('fleet press');
  const SMALLEST = 8; // CSS pixels; inputs that a style hides are 0 or 1 wide

  const fold = (text) => (text || '').normalize('NFKC').replace(/[’ʼ`´]/g, "'").replace(/\s+/g, ' ').trim().toLowerCase();

  const query = (css, root = document) => {
    const plain = [...root.querySelectorAll(css)];
    if (plain.length) return plain;
    // Open shadow roots are walked only where the document itself has no match.
    return [...root.querySelectorAll('*')].filter((el) => el.shadowRoot).flatMap((el) => query(css, el.shadowRoot));
  };

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
    const all = [el, ...el.querySelectorAll(ROLES[kind])];
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
  const stateOf = (el, kind) => {
    if (kind === 'radio') return radioState(el);
    if (el.matches('input[type=checkbox],input[type=radio]')) return el.indeterminate ? null : el.checked;
    return { true: true, false: false }[el.getAttribute('aria-checked')] ?? null;
  };
  const isRadio = (el) => el.matches('input[type=radio],[role=radio],[role=menuitemradio]');
  const isControl = (el, kind) => el.matches('input[type=checkbox],input[type=radio],[aria-checked]') && isRadio(el) === (kind === 'radio');
  const wholeState = (el, kind) => {
    if (el.closest('[aria-busy="true"]')) return null; // the page says itself that it is not there yet
    // An outer switch and the input inside it must agree, else the page is still changing.
    const inner = [...el.querySelectorAll(ROLES[kind])];
    const states = [el, ...inner].filter((one) => isControl(one, kind)).map((one) => stateOf(one, kind));
    return states.length && states.every((state) => state === states[0]) ? states[0] : null;
  };
  const isEnabled = (el, kind) =>
    [el, ...el.querySelectorAll(ROLES[kind])].every((one) => !one.matches(':disabled') && !one.closest('[aria-disabled="true"]'));

  // What a click on the middle of `face` would reach and so may be pressed: the control, what its own label draws
  // over it, or null (something else covers it; a link inside a label is something else).
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
    if (el.contains(hit)) return el;
    const isLabeled = [el, ...el.querySelectorAll('input')].flatMap(labelsOf).some((label) => label.contains(hit));
    return isLabeled && !hit.closest('a,button') && !hit.querySelector('a,button') ? hit : null;
  };

  const describe = (el, kind) => {
    const face = faceOf(el, kind);
    if (!face || !isOffered(el)) return null;
    const target = reached(el, face);
    const boxes = [face, ...labelsOf(el).filter(isVisible)].map((one) => one.getBoundingClientRect());
    const left = Math.min(...boxes.map((box) => box.left)), top = Math.min(...boxes.map((box) => box.top));
    const right = Math.max(...boxes.map((box) => box.right)), bottom = Math.max(...boxes.map((box) => box.bottom));
    return {
      state: wholeState(el, kind),
      enabled: isEnabled(el, kind),
      uncovered: target !== null,
      box: { x: left + scrollX, y: top + scrollY, width: right - left, height: bottom - top },
    };
  };

  const candidates = (elements, kind) => distinct(elements).filter((el) => isOffered(el) && faceOf(el, kind));
  const controls = (elements, kind) => candidates(elements, kind).map((el) => describe(el, kind));
  // Where to press, 'nothing' if there is no element at all, or null if what is there must not be pressed.
  // Until `disarm`, a press that would reach anything but that one control is stopped before the page hears of it.
  const PRESS = ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click'];
  const aim = (cssOrElements, kind, state) => {
    const elements = typeof cssOrElements === 'string' ? query(cssOrElements) : cssOrElements;
    if (!elements.length) return 'nothing';
    const found = candidates(elements, kind);
    const [el] = found;
    if (found.length !== 1 || !isEnabled(el, kind) || (state !== null && wholeState(el, kind) !== state)) return null;
    const face = faceOf(el, kind);
    if (!reached(el, face)) return null;
    const own = [el, ...[el, ...el.querySelectorAll('input')].flatMap(labelsOf)];
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
    PRESS.forEach((type) => addEventListener(type, guard, true));
    globalThis[ARMED] = () => {
      PRESS.forEach((type) => removeEventListener(type, guard, true));
      return press;
    };
    const box = face.getBoundingClientRect();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  };
  // All that hears a press: what is pressed, its labels, and everything around them up to the window; or null.
  const hearers = (css, kind) => {
    const [el] = candidates(query(css), kind);
    const around = (node) => (node ? [node, ...around(node.parentNode || node.host)] : []);
    return el ? [...new Set([el, ...el.querySelectorAll('input'), ...labelsOf(el)].flatMap(around)), window] : null;
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

  // Many a page builds what is below only once somebody scrolls there.
  const lookFurther = (css) => css && !query(css).length && scrollBy({ top: innerHeight, behavior: 'instant' });

  const snapshot = (wanted) => (lookFurther(wanted.css), {
    loaded: document.readyState === 'complete',
    address: location.href,
    signs: signs(wanted.signs),
    identity: wanted.identity ? texts(wanted.identity) : null,
    ready: wanted.ready ? query(wanted.ready).length > 0 : true,
    matches: wanted.css ? query(wanted.css).length : 0,
    controls: wanted.css ? controls(query(wanted.css), wanted.kind) : [],
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

  return { snapshot, controls, aim, disarm, hearers, stored, forget };
})()
