/** Decides whether a service fits the words of a query. It knows nothing of where services come from. */
import type { Service } from '../contract/service.ts';

/** Shorter words must start a word: `ai` is inside `gmail`, but nobody means that. */
const INSIDE_MIN_CHARACTERS = 3;

/** The words of a text in lower case: what lies between characters that are neither letters nor digits. */
export function tokenize(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

/** True when every word starts a word of the service, or stands inside its slug, its name or an alias. */
export function serviceMatches(service: Service, words: readonly string[]): boolean {
  const names = [service.slug, service.name, ...(service.aliases ?? [])];
  const starts = tokenize([...names, service.category, service.description].join(' '));
  const joined = names.map((name) => tokenize(name).join(''));
  return words.every(
    (word) =>
      starts.some((start) => start.startsWith(word)) ||
      (word.length >= INSIDE_MIN_CHARACTERS && joined.some((name) => name.includes(word))),
  );
}
