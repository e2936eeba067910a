/** Text search over services: ranks them by a query, and suggests slugs for an unknown id. Never repeats the query. */
import { distance } from 'fastest-levenshtein';
import type { Service } from '../contract/service/service.ts';

export const SUGGESTIONS_MAX = 5;
/** No id is longer; the rest of the text is ignored. */
const COMPARED_MAX_CHARACTERS = 64;
/** Shorter terms must start a term of the service: `ai` is inside `gmail`, but is not meant. */
const INFIX_MIN_CHARACTERS = 3;
/** Further words of a query are ignored. */
const TERMS_MAX = 16;
/** Words around the name of a service in a request for its credential. */
const NOISE: ReadonlySet<string> = new Set(
  (
    'a access account add an and api apikey app auth authentication bearer client connect create credential ' +
    'credentials for get id in integration key keys login mcp my need new oauth of our password personal please save ' +
    'secret secrets server service set store the to token tokens up update use user value with'
  ).split(' '),
);

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

/**
 * The services that match a query, the best match first; equal ones keep their order. Words that say that a credential is
 * meant, such as "api key", need not match. If no service has all the other words, those with the most of them and those
 * whose whole name is in the query match.
 */
export function rankServices(services: readonly Service[], query: string): Service[] {
  const terms = [...new Set(tokenize(query))].slice(0, TERMS_MAX);
  const significant = terms.filter((term) => !NOISE.has(term));
  const wanted = significant.length > 0 ? significant : terms;
  if (wanted.length === 0) return [];
  const wholes = [normalize(query), wanted.join('')];
  const matches = services
    .map((service) => ({ service, ...rank(searchTextOf(service), { terms, wanted, wholes }) }))
    .filter(({ score }) => score > 0);
  const most = Math.max(...matches.map(({ matched }) => matched));
  return matches
    .filter(({ matched, is_named }) => {
      return matched === most || significant.length === 0 || (most < wanted.length && is_named);
    })
    .sort((a, b) => b.score - a.score)
    .map(({ service }) => service);
}

interface Query {
  /** All words of the query. */
  readonly terms: readonly string[];
  /** Those that must match. */
  readonly wanted: readonly string[];
  /** The query without blanks, with and without the other words. */
  readonly wholes: readonly string[];
}

interface Rank {
  readonly score: number;
  /** How many of the wanted words match. */
  readonly matched: number;
  /** Whether the query has all words of a name. */
  readonly is_named: boolean;
}

function rank(text: SearchText, { terms, wanted, wholes }: Query): Rank {
  const is_exact = wholes.some((whole) => text.wholes.has(whole));
  const is_named = is_exact || text.names.some((name) => name.every((word) => terms.includes(word)));
  let score = (is_exact ? EXACT_SCORE : 0) + (is_named ? NAMED_SCORE : 0);
  let matched = is_exact ? wanted.length : 0;
  for (const term of terms) {
    const points = pointsOf(text, term);
    const is_wanted = wanted.includes(term);
    if (is_wanted || text.words.has(term)) score += points;
    if (!is_exact && is_wanted && points > 0) matched++;
  }
  return { score: matched === 0 ? 0 : score, matched, is_named };
}

const EXACT_SCORE = 1_000;
const NAMED_SCORE = 100;

function pointsOf(text: SearchText, term: string): number {
  if (text.words.has(term)) return 40;
  if (text.name_terms.some((word) => word.startsWith(term))) return 25;
  if (term.length >= INFIX_MIN_CHARACTERS && text.joined.some((name) => name.includes(term))) return 15;
  if (text.category === term) return 12;
  if (text.description.includes(term)) return 8;
  return text.category.startsWith(term) || text.description.some((word) => word.startsWith(term)) ? 4 : 0;
}

/** The texts of a service that a query is compared with, in lower case. */
interface SearchText {
  /** Names, ids and environment variables without blanks: a query that is one of them is an exact match. */
  readonly wholes: ReadonlySet<string>;
  /** The words of each name. */
  readonly names: readonly (readonly string[])[];
  readonly words: ReadonlySet<string>;
  readonly name_terms: readonly string[];
  /** The names without blanks. */
  readonly joined: readonly string[];
  readonly category: string;
  readonly description: readonly string[];
}

const search_texts = new WeakMap<Service, SearchText>();

function searchTextOf(service: Service): SearchText {
  const known = search_texts.get(service);
  if (known !== undefined) return known;
  const names = namesOf(service).map(tokenize);
  const joined = names.map((words) => words.join(''));
  const name_terms = [...new Set(names.flat())];
  const env = service.fields.flatMap((field) => (field.env ?? []).map(normalize));
  const text = {
    wholes: new Set([...joined, normalize(service.id), ...env]),
    names,
    words: new Set(name_terms),
    name_terms,
    joined,
    category: service.category,
    description: tokenize(service.description),
  };
  search_texts.set(service, text);
  return text;
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
