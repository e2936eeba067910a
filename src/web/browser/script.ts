/**
 * What the pages do better with scripts: show a password, copy, relative times, filter as you type, dialogs. Every page works
 * without it. Sends nothing but the request for the page of a dialog, and keeps nothing.
 */
import { showRelativeTime } from './relative_time.ts';

document.documentElement.classList.add('js');

for (const input of document.querySelectorAll<HTMLInputElement>('input[data-reveal]')) addRevealButton(input);
for (const time of document.querySelectorAll('time[data-relative]'))
  showRelativeTime(time as HTMLTimeElement);
for (const input of document.querySelectorAll<HTMLInputElement>('input[data-filter]')) filterAsYouType(input);

document.addEventListener('click', (event) => {
  const target = event.target instanceof Element ? event.target : undefined;
  const copy = target?.closest<HTMLElement>('[data-copy]');
  if (copy) void copyText(copy);
  const link = target?.closest<HTMLAnchorElement>('a[data-dialog]');
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    void openDialog(link);
  }
  const account = document.querySelector<HTMLDetailsElement>('details.account[open]');
  if (account && target && !account.contains(target)) account.open = false;
});

function addRevealButton(input: HTMLInputElement): void {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'reveal';
  button.setAttribute('aria-controls', input.id);
  const show = (is_shown: boolean) => {
    input.type = is_shown ? 'text' : 'password';
    button.textContent = is_shown ? 'Hide' : 'Show';
    button.setAttribute('aria-pressed', String(is_shown));
  };
  show(false);
  button.addEventListener('click', () => show(input.type === 'password'));
  // A browser offers to keep what was typed into a text field.
  input.form?.addEventListener('submit', () => show(false));
  const wrapper = document.createElement('div');
  wrapper.className = 'reveal-wrapper';
  input.replaceWith(wrapper);
  wrapper.append(input, button);
  if (input.autofocus) input.focus();
}

async function copyText(button: HTMLElement): Promise<void> {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy ?? '');
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'Press Ctrl+C';
  }
  setTimeout(() => {
    button.textContent = label;
  }, 1500);
}

/** Hides the elements of the list whose text does not contain every part of the query. */
function filterAsYouType(input: HTMLInputElement): void {
  const list = document.getElementById(input.dataset.filter ?? '');
  if (list === null) return;
  const items = [...list.querySelectorAll<HTMLElement>('[data-filter-text]')];
  const groups = [...list.querySelectorAll<HTMLElement>('[data-filter-group]')];
  const empty = list.querySelector<HTMLElement>('[data-filter-empty]');
  const loaded_query = input.value;
  const filter = () => {
    const parts = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of items) {
      const text = item.dataset.filterText?.toLowerCase() ?? '';
      item.hidden = !parts.every((part) => text.includes(part));
    }
    for (const group of groups) {
      const shown = group.querySelectorAll('[data-filter-text]:not([hidden])').length;
      group.hidden = shown === 0;
      const count = group.querySelector('.count');
      if (count) count.textContent = String(shown);
    }
    if (empty) empty.hidden = groups.some((group) => !group.hidden);
  };
  // The page shows the results of its own query: without it, all of them have to be loaded.
  input.addEventListener('input', () => {
    if (loaded_query === '') filter();
  });
  if (loaded_query === '' && input.value !== '') filter();
}

/** Shows the confirmation of another page as a dialog; on any failure the browser goes to that page. */
async function openDialog(link: HTMLAnchorElement): Promise<void> {
  try {
    const response = await fetch(link.href, { headers: { accept: 'text/html' } });
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    const confirm = page.querySelector('[data-confirm]');
    if (!response.ok || confirm === null) throw new Error('no confirmation');
    const dialog = document.createElement('dialog');
    dialog.className = 'dialog';
    dialog.append(document.importNode(confirm, true));
    const title = dialog.querySelector('h1');
    if (title) {
      title.id = 'dialog-title';
      dialog.setAttribute('aria-labelledby', title.id);
    }
    dialog.addEventListener('click', (event) => {
      const target = event.target instanceof Element ? event.target : undefined;
      const is_cancel = target?.closest('a.button') != null;
      if (is_cancel) event.preventDefault();
      if (is_cancel || target === dialog) dialog.close();
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      link.focus();
    });
    document.body.append(dialog);
    dialog.showModal();
  } catch {
    location.assign(link.href);
  }
}
