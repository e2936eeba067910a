/**
 * Rules for the names of new records: what looks like another name is refused. Names that exist already are not checked
 * again, so that they can still be used, changed and deleted.
 */
import { VaultError } from './errors.ts';
import { UNPRINTABLE_CHARACTER_PATTERN } from './patterns.ts';

const LETTERS = /[\p{L}\p{M}]+/gu;
/** Scripts with letters that look like those of another one. */
const CONFUSABLE_SCRIPTS: readonly RegExp[] = [
  'Latin',
  'Cyrillic',
  'Greek',
  'Armenian',
  'Cherokee',
  'Coptic',
].map((script) => new RegExp(`\\p{Script=${script}}`, 'u'));

/** The rule that a new name breaks; `undefined` if it may be used. */
export function findNameProblem(name: string): string | undefined {
  if (UNPRINTABLE_CHARACTER_PATTERN.test(name)) return 'must not hold invisible characters';
  if (name !== name.normalize('NFKC')) return 'must be normalized (Unicode NFKC); type it again';
  const is_mixed = [...name.matchAll(LETTERS)].some(
    ([letters]) => CONFUSABLE_SCRIPTS.filter((script) => script.test(letters)).length > 1,
  );
  return is_mixed ? 'must not mix letters of different scripts' : undefined;
}

/** Throws INVALID_INPUT for a name that a new record must not have. `what` is the record, for the message. */
export function assertNewName(what: string, name: string): void {
  const problem = findNameProblem(name);
  if (problem !== undefined) throw new VaultError('INVALID_INPUT', `The name of the ${what} ${problem}.`);
}

/** Letters of other scripts, and digits, that look like a Latin letter (Unicode Technical Standard 39). */
const LOOKALIKES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    а: 'a',
    в: 'b',
    с: 'c',
    ԁ: 'd',
    е: 'e',
    ё: 'e',
    ғ: 'f',
    ɡ: 'g',
    һ: 'h',
    н: 'h',
    і: 'i',
    ї: 'i',
    ј: 'j',
    к: 'k',
    ӏ: 'l',
    м: 'm',
    п: 'n',
    о: 'o',
    р: 'p',
    ԛ: 'q',
    г: 'r',
    ѕ: 's',
    т: 't',
    ц: 'u',
    ѵ: 'v',
    ԝ: 'w',
    х: 'x',
    у: 'y',
    α: 'a',
    β: 'b',
    ϲ: 'c',
    ε: 'e',
    η: 'n',
    ι: 'i',
    κ: 'k',
    μ: 'u',
    ν: 'v',
    ο: 'o',
    ρ: 'p',
    τ: 't',
    υ: 'u',
    χ: 'x',
    γ: 'y',
    ω: 'w',
    ϳ: 'j',
    օ: 'o',
    ս: 'u',
    ո: 'n',
    հ: 'h',
    ց: 'g',
    զ: 'q',
    ւ: 'i',
    ꓲ: 'i',
    ı: 'i',
    ł: 'l',
    ø: 'o',
    đ: 'd',
    ħ: 'h',
    '0': 'o',
    '1': 'l',
    '5': 's',
    '|': 'l',
  }),
);

/** A name as people see it: names with the same skeleton are confused. Keeps letters and digits only. */
export function nameSkeleton(name: string): string {
  const plain = name.normalize('NFKC').toLowerCase().normalize('NFD').replace(/\p{M}/gu, '');
  return [...plain]
    .map((character) => LOOKALIKES.get(character) ?? character)
    .join('')
    .replace(/[^\p{L}\p{N}]/gu, '')
    .replace(/i/g, 'l');
}
