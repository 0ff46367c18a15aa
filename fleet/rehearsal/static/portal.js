// The one setting of the portal that saves itself; taken back if it is refused.
(() => {
  const input = document.querySelector('input[name=keep_out_of_assistant]');
  if (!input) return;
  const csrfToken = document.querySelector('meta[name=csrf-token]').content;
  input.addEventListener('change', async () => {
    const keepOut = input.checked;
    const isSaved = await fetch('/api/settings/assistant', {
      method: 'PUT',
      headers: { 'content-type': 'application/json', 'x-csrf-token': csrfToken },
      body: JSON.stringify({ keep_out: keepOut }),
    })
      .then(async (answer) => (await answer.text(), answer.ok))
      .catch(() => false);
    if (!isSaved) input.checked = !keepOut;
  });
})();
