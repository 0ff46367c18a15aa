// Where the sign-in lives in a database: no token, no page. What else the page keeps there is of no use to anybody.
(() => {
  const name = document.querySelector('meta[name=database]')?.content;
  if (!name) return;
  const signIn = () => location.replace('/sign-in');
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore('session');
  opening.onsuccess = () => {
    const asking = opening.result.transaction('session').objectStore('session').get('token');
    asking.onsuccess = () => asking.result || signIn();
  };
  indexedDB.open('seen').onupgradeneeded = (event) => event.target.result.createObjectStore('pages');
})();

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
