/** Text search over services: matches a query, and suggests slugs for an unknown id. Never repeats the query. */
import { distance } from 'fastest-levenshtein';
import type { Service } from '../contract/service.ts';

export const SUGGESTIONS_MAX = 5;
/** No id is longer; the rest of the text is ignored. */
const COMPARED_MAX_CHARACTERS = 64;
/** Shorter terms must start a term of the service: `ai` is inside `gmail`, but is not meant. */
const INFIX_MIN_CHARACTERS = 3;

/** Returns up to five slugs, the best match first; an empty list if none is similar. */
export function suggestSlugs(text: string, services: Iterable<Service>): string[] {
  const wanted = normalize(text.slice(0, COMPARED_MAX_CHARACTERS));
  if (wanted === '') return [];
  const scored: { slug: string; score: number }[] = [];
  for (const service of services) {
    const score = Math.min(...namesOf(service).map((name) => scoreOf(wanted, normalize(name))));
    if (score < 1) scored.push({ slug: service.slug, score });
  }
  scored.sort((a, b) => a.score - b.score || (a.slug < b.slug ? -1 : 1));
  return scored.slice(0, SUGGESTIONS_MAX).map(({ slug }) => slug);
}

/** Splits a text at everything except letters and digits, in lower case. */
export function tokenize(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((term) => term !== '');
}

/** Returns whether every term starts a term of the service or is inside its slug, its name or an alias. */
export function serviceMatches(service: Service, terms: readonly string[]): boolean {
  const names = namesOf(service);
  const starts = tokenize([...names, service.category, service.description].join(' '));
  return terms.every(
    (term) =>
      starts.some((start) => start.startsWith(term)) ||
      (term.length >= INFIX_MIN_CHARACTERS && names.some((name) => normalize(name).includes(term))),
  );
}

function namesOf({ slug, name, aliases = [] }: Service): string[] {
  return [slug, name, ...aliases];
}

/** Keeps letters and digits only: `google-drive`, `Google Drive` and `google_drive` are equal. */
function normalize(name: string): string {
  return tokenize(name).join('');
}

/** 0 is equal, below 1 is similar, 1 is different. Prefixes rank before infixes, and those before typos. */
function scoreOf(wanted: string, name: string): number {
  if (wanted === name) return 0;
  if (name === '') return 1;
  if (wanted.length >= 2 && name.startsWith(wanted)) return 0.1;
  if (name.length >= 3 && wanted.startsWith(name)) return 0.15;
  if (wanted.length >= 3 && name.includes(wanted)) return 0.2;
  if (name.length >= 4 && wanted.includes(name)) return 0.25;
  const ratio = distance(wanted, name) / Math.max(wanted.length, name.length);
  return ratio <= 0.4 ? 0.3 + ratio : 1;
}
