// The portal's one switch saves itself; everything else on the page is a form.
(() => {
  const control = document.querySelector('[data-setting="assistant-training"]');
  const token = document.querySelector('meta[name="csrf-token"]').content;
  control?.addEventListener('click', async () => {
    const isOn = control.getAttribute('aria-checked') !== 'true';
    const answer = await fetch('/api/settings/assistant', {
      method: 'PUT',
      headers: { 'content-type': 'application/json', 'x-csrf-token': token },
      body: JSON.stringify({ keep_out: isOn }),
    }).catch(() => null);
    if (answer?.ok) control.setAttribute('aria-checked', isOn);
  });
})();
