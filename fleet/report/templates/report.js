'use strict';
// Everything is in the page already; this only filters rows, shows them in portions, and opens pictures on demand.
(() => {
  const PORTION = 200;
  const table = document.querySelector('.controls');
  const rows = [...table.tBodies[0].rows];
  const texts = rows.map((row) => `${row.cells[0].textContent} ${row.cells[1].textContent}`.toLowerCase());
  const [find, outcome, service, found, more, all] = ['find', 'outcome', 'service', 'found', 'more', 'all'].map((id) => document.getElementById(id));
  const pictures = JSON.parse(document.getElementById('evidence').textContent);
  let limit = PORTION;

  const number = new Intl.NumberFormat(document.documentElement.lang);
  const fill = (element, values) => {
    element.textContent = element.dataset.text.replace(/\{(\w+)\}/g, (_, name) => number.format(values[name]));
  };

  const update = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let matching = 0;
    rows.forEach((row, index) => {
      const matches = (!outcome.value || row.dataset.outcome === outcome.value) &&
        (!service.value || row.dataset.service === service.value) && words.every((word) => texts[index].includes(word));
      matching += matches;
      row.hidden = !matches || matching > limit;
      const opened = row.nextElementSibling;
      if (opened && opened.classList.contains('pictures')) opened.hidden = row.hidden;
    });
    fill(found, { shown: matching, total: rows.length });
    more.parentElement.hidden = matching <= limit;
    fill(more, { count: Math.min(PORTION, matching - limit) });
  };

  const restart = () => { limit = PORTION; update(); };
  find.addEventListener('input', restart);
  outcome.addEventListener('change', restart);
  service.addEventListener('change', restart);
  find.form.addEventListener('submit', (event) => event.preventDefault());
  more.addEventListener('click', () => { limit += PORTION; update(); });
  all.addEventListener('click', () => { limit = Infinity; update(); });

  const show = (button) => {
    const row = button.closest('tr');
    if (button.getAttribute('aria-expanded') === 'true') {
      row.nextElementSibling.remove();
      button.setAttribute('aria-expanded', 'false');
      return;
    }
    const cell = document.createElement('td');
    cell.colSpan = row.cells.length;
    for (const moment of ['before', 'after'].filter((moment) => moment in button.dataset)) {
      const words = table.dataset[moment];
      const figure = document.createElement('figure');
      const image = new Image();
      image.src = `data:image/png;base64,${pictures[button.dataset[moment]]}`;
      image.alt = `${row.cells[0].textContent.trim()}, ${row.cells[1].textContent.trim()}: ${words}`;
      const caption = document.createElement('figcaption');
      caption.textContent = words;
      figure.append(image, caption);
      cell.append(figure);
    }
    const opened = document.createElement('tr');
    opened.className = `pictures ${row.className}`;
    opened.append(cell);
    row.after(opened);
    button.setAttribute('aria-expanded', 'true');
  };
  table.addEventListener('click', (event) => {
    const button = event.target.closest('.evidence button');
    if (button) show(button);
  });

  for (const button of table.querySelectorAll('.evidence button')) button.hidden = false;
  find.form.hidden = false;
  update();
})();
