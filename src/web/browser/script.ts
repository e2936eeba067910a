/**
 * What the pages do better with scripts: show a password, copy, relative times, search as you type, dialogs, reloads. Every page works
 * without it. Sends nothing but requests for pages of this server, and keeps nothing.
 */
import { showRelativeTime } from './relative_time.ts';

document.documentElement.classList.add('js');

for (const input of document.querySelectorAll<HTMLInputElement>('input[data-reveal]')) addRevealButton(input);
for (const input of document.querySelectorAll<HTMLInputElement>('input[data-search]')) searchAsYouType(input);
showRelativeTimes(document);
const after_post = document.querySelector<HTMLAnchorElement>('a[data-reload]');
if (after_post) history.replaceState(null, '', after_post.href);

document.addEventListener('click', (event) => {
  const target = event.target instanceof Element ? event.target : undefined;
  const copy = target?.closest<HTMLElement>('[data-copy]');
  if (copy) void copyText(copy);
  const link = target?.closest<HTMLAnchorElement>('a[data-dialog]');
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    void openDialog(link);
  }
  for (const popup of document.querySelectorAll<HTMLDetailsElement>('details.popup[open]'))
    if (target && !popup.contains(target)) popup.open = false;
});

document.addEventListener('keydown', (event) => {
  const popup = document.querySelector<HTMLDetailsElement>('details.popup[open]');
  if (event.key !== 'Escape' || popup === null) return;
  popup.open = false;
  popup.querySelector('summary')?.focus();
});

function showRelativeTimes(within: ParentNode): void {
  for (const time of within.querySelectorAll<HTMLTimeElement>('time[data-relative]')) showRelativeTime(time);
}

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

const TYPING_PAUSE_MS = 120;

/** Replaces the element with the id in `data-search` by that of the page of the search, while a person types. */
function searchAsYouType(input: HTMLInputElement): void {
  const { form, dataset } = input;
  let timer: number | undefined;
  let latest = 0;
  const search = async (): Promise<void> => {
    if (form === null) return;
    const number = ++latest;
    const fields = [...new FormData(form)].map(([name, value]) => [name, String(value)]);
    const url = `${form.action}?${new URLSearchParams(fields)}`;
    const response = await fetch(url, { headers: { accept: 'text/html' } });
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    const [shown, found] = [document, page].map((one) => one.getElementById(dataset.search ?? ''));
    // A response to an earlier text may arrive late. Without results, as after a sign-out, Enter opens the page.
    if (number !== latest || !shown || !found) return;
    shown.replaceWith(document.importNode(found, true));
    showRelativeTimes(document);
    history.replaceState(null, '', url);
  };
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => void search().catch(() => undefined), TYPING_PAUSE_MS);
  });
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
