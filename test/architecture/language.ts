/**
 * The words and phrases that Keyhold's code does not use, each with the term to use instead, and the technical uses
 * of the same words that are right. Finds matches in text; knows nothing of files.
 */
import { scanSource, type TextAt } from './scan_source.ts';

/** A struck phrase, and the field's term for what it meant. Spaces match line breaks too. */
interface Struck {
  readonly pattern: RegExp;
  readonly instead: string;
}

export const STRUCK: readonly Struck[] = [
  { pattern: /\banswer(?:s|ed|ing)?\b/i, instead: 'response, respond, result' },
  { pattern: /\bask(?:s|ed|ing)?\b/i, instead: 'request, requested, prompt' },
  { pattern: /\b(?:say|says|said|saying|unsaid)\b/i, instead: 'report, contain, print, state' },
  { pattern: /\b(?:tell|tells|told|telling)\b/i, instead: 'report, return, notify, log, distinguish' },
  { pattern: /\b(?:hear|hears|heard|speaks?|spoken|speaking)\b/i, instead: 'receive, support, contain' },
  { pattern: /\bwords?\b|\bworded\b/i, instead: 'message, error response, name, term' },
  { pattern: /\bnobod(?:y|y's|ies)\b|\bno one\b/i, instead: 'not found, unknown, unmatched, no client' },
  {
    pattern: /\b(?:there|that|which) (?:is|are|was|were) none\b|\bnone that (?:is|are)\b/i,
    instead: 'missing, not found',
  },
  {
    pattern: /(?<!there )\b(?:is|are|was|were|be) no (?!longer\b|more\b|later\b|earlier\b)/i,
    instead: 'is not a',
  },
  { pattern: /\b(?:whoever|whomever|whosoever)\b/i, instead: 'the client, the caller, the operator' },
  {
    pattern: /\b(?:of|for|to|by|with|from|than|only|against) (?:who|whose) /i,
    instead: 'the client, the caller',
  },
  { pattern: /(?<!["'`(])\b(?:What|Who|Whose)\b(?![^.]*\?)/, instead: 'a noun: name the thing' },
  { pattern: /\b(?:of|to|for|from|with|by|at|behind|against) what\b/i, instead: 'a noun: name the thing' },
  {
    pattern: /\bwhat (?:is|was|are|were|comes?|came|goes|went|nobody|may|can|cannot|stands?|lies|else)\b/,
    instead: 'a noun',
  },
  {
    pattern: /\b(?:held|hold|holds|holding) (?:\w+ ){0,3}(?:to|against)\b/i,
    instead: 'validated against, compared with, limited to',
  },
  { pattern: /\bstands?\b(?! (?:for|in for)\b)|\b(?:stood|standing)\b/i, instead: 'exists, is unchanged' },
  {
    pattern: /\bputs? (?:\w+ ){0,2}back\b|\bputting (?:\w+ ){0,2}back\b/i,
    instead: 'roll back, replay, restore, requeue',
  },
  { pattern: /\bmoments?\b/i, instead: 'timestamp, instant, time' },
  { pattern: /\bturns?\b|\bturned\b|\bturning\b/i, instead: 'event-loop iteration, slot, rotation; convert' },
  { pattern: /\b(?:mend|mends|mended|mending)\b/i, instead: 'fix' },
  { pattern: /\b(?:spoil|spoils|spoilt|spoiled)\b/i, instead: 'invalid, damaged' },
  { pattern: /\banew\b|\bafresh\b/i, instead: 'again' },
  { pattern: /\bbesides\b/i, instead: 'also, in addition, except' },
  { pattern: /\b(?:pass|passes|passed|passing) over\b/i, instead: 'skip, drop' },
  { pattern: /\bshut\b/i, instead: 'closed' },
  { pattern: /\bgone\b/i, instead: 'deleted, missing, closed' },
  { pattern: /\b(?:is|are|was|were) away\b/i, instead: 'not available' },
  { pattern: /\bin vain\b/i, instead: 'without success, or the effect' },
  { pattern: /\b(?:place|places|placed)\b/i, instead: 'key, reference, path, position, file' },
  { pattern: /\bspots?\b/i, instead: 'key, reference' },
  { pattern: /\broads?\b/i, instead: 'channel, interface' },
  { pattern: /\bdoors?\b|\bdoorkeeper\b/i, instead: 'client, interface' },
  { pattern: /\bcomers?\b|\bcompanions?\b/i, instead: 'request, caller, related writes' },
  { pattern: /\bgates?\b|\bgated\b/i, instead: 'pipeline, guard' },
  { pattern: /\bforms?\b/i, instead: 'schema, format' },
  { pattern: /\bdrafts?\b/i, instead: 'temporary file' },
  {
    pattern:
      /\b(?:found|founds|founded|founding) (?:an?|the|new|its|their) (?:new )?(?:organi[sz]ation|one)\b/i,
    instead: 'create',
  },
  { pattern: /\brings?\b/i, instead: 'keyring, keys' },
  {
    pattern: /\bopenings\b|\bopening (?:of )?(?:a|the|each|this|one|its) (?:record|row|value|entry)\b/i,
    instead: 'decryption, decrypt',
  },
  { pattern: /\bspares?\b|\bspared\b|\bsparing\b/i, instead: 'avoid, save' },
  { pattern: /\b(?:lie|lies|lying|lay) (?:ahead|behind|before|further)\b/i, instead: 'be in the future' },
  { pattern: /\b(?:get|gets|got|getting) at\b/i, instead: 'read, access' },
  { pattern: /\bunder way\b/i, instead: 'in progress, in flight' },
  {
    pattern: /\b(?:for ever|from afar|now and then|come to be|by then|is well|are well|takes? its time)\b/i,
    instead: 'a plain term',
  },
  {
    pattern: /\b(?:ours|theirs)\b|\bof (?:our|its|their|his) own\b/i,
    instead: 'name the owner; custom, built-in, separate',
  },
  { pattern: /\b(?:wakes?|woken|doubts?|doomed|swallows?|swallowed|breathes?)\b/i, instead: 'a plain term' },
  { pattern: /\bhow (?:\w+ )?(?:it|they|this) (?:is|are) (?:called|named)\b/i, instead: 'the name of' },
];

/** Technical uses of struck words. They are removed from a text before it is searched. */
export const ALLOWED_USES: readonly { readonly use: RegExp; readonly because: string }[] = [
  {
    use: /\b(?:ask|tell) (?:the|a|an|your|its) (?:user|person|operator|administrator|owner|agent)\b/gi,
    because: 'a person is spoken to',
  },
  { use: /\bin turn\b/gi, because: 'one after the other' },
  { use: /\b(?:turn|turns|turned|turning) (?:\S+ ){0,3}(?:on|off)\b/gi, because: 'to enable or disable' },
  {
    use: /\bin[- ]place\b|\b(?:take|takes|took|taking) place\b|\bin place of\b|\bdecimal places?\b/gi,
    because: 'idioms of programming',
  },
  {
    use: /\b(?:search|query|command[- ]line|shell|reserved|stop|machine|16-bit|32-bit|64-bit|completion) words?\b/gi,
    because: 'a word of a text or a register',
  },
  {
    use: /\bwords? of (?:a|the|its) (?:command |search )?(?:line|query|text|search)\b|\bwords? (?:under|before|after|at) the cursor\b|\bword (?:list|boundar(?:y|ies)|break)\b/gi,
    because: 'a word of a shell line',
  },
  { use: /\bshut(?:s|ting)? ?down\b/gi, because: 'shutdown of a process' },
  { use: /\b410 \(?gone\)?\b/gi, because: 'the HTTP status' },
  {
    use: /\bforms?[- ](?:urlencoded|encoded|data|field|fields|body|post|element)\b|\b(?:web|html|url-?encoded|multipart|login|canonical|short|long|compact|normal|normali[sz]ed|NFC|NFKC|plural|singular|spelled-out) forms?\b/gi,
    because: 'an HTML form, or a canonical form',
  },
  {
    use: /\b(?:json schema|schema|ietf|internet) drafts?\b|\bdraft[- ]?\d[\w-]*\b|\bdraft-[a-z]\S*/gi,
    because: 'a draft of a standard',
  },
  {
    use: /\bplace INTEGER PRIMARY KEY\b|\(place\)|`place`|\bORDER BY place\b/g,
    because: 'the column of format 1',
  },
  { use: /<\/?form\b|\bdocument\.forms\b/g, because: 'an element of HTML' },
  { use: /\bform-action\b/g, because: 'a directive of the Content-Security-Policy header' },
  { use: /\$\{?words\b|\bwords\[|-l words\b/g, because: 'a variable of a shell script' },
];

/** Words that identifiers and file names do not contain. */
export const STRUCK_NAMES: ReadonlySet<string> = new Set(
  (
    'answer answers answered answering ask asks asked asking say says said tell tells told telling word words worded ' +
    'nobody nobodys whoever moment moments turn turns mend mended mends spoilt anew besides shut gone place places ' +
    'spot spots road roads door doors comer comers companion companions gate gates draft drafts ring rings opening ' +
    'openings world worlds thing things doomed heard hear stands standing theirs ours beside spare spares passed_over ' +
    'lost strange breathe surroundings quietly meant'
  ).split(' '),
);

/** Names that contain a struck word in its technical sense. */
export const ALLOWED_NAMES: ReadonlyMap<string, string> = new Map([
  ['search_words', 'the words of a search query'],
  ['searchWords', 'the words of a search query'],
  ['words', 'the words of a search query or of a shell line'],
  ['word', 'one word of a search query or of a shell line'],
  ['lost', 'a lost write: acknowledged and missing'],
  ['lostWrites', 'a lost write: acknowledged and missing'],
  ['expectNoWriteLost', 'a lost write: acknowledged and missing'],
  ['openWorldHint', 'an annotation of MCP tools'],
]);

export interface Match extends TextAt {
  readonly kind: 'comment' | 'title' | 'message' | 'identifier' | 'export' | 'file';
  readonly found: string;
  readonly instead: string;
}

export interface LanguageReport {
  readonly matches: readonly Match[];
  readonly comment_lines: number;
  readonly matching_comment_lines: number;
}

/** The struck phrases in a text, with their offsets. */
export function findStruck(
  text: string,
): { readonly at: number; readonly found: string; readonly instead: string }[] {
  let searched = text;
  for (const { use } of ALLOWED_USES) {
    searched = searched.replaceAll(asPhrase(use), (allowed) => allowed.replaceAll(/[^\n]/g, '_'));
  }
  return STRUCK.flatMap(({ pattern, instead }) =>
    [...searched.matchAll(asPhrase(pattern))].map((match) => ({ at: match.index, found: match[0], instead })),
  ).sort((a, b) => a.at - b.at);
}

const phrases = new Map<RegExp, RegExp>();

/** The pattern as a global one in which a space matches any white space. */
function asPhrase(pattern: RegExp): RegExp {
  const known = phrases.get(pattern);
  if (known !== undefined) return known;
  const phrase = new RegExp(
    pattern.source.replaceAll(/ (?![?*+{])/g, '\\s+'),
    pattern.flags.includes('i') ? 'gi' : 'g',
  );
  phrases.set(pattern, phrase);
  return phrase;
}

/** The struck word in a name, if any: camelCase and snake_case are split into words. */
export function findStruckName(name: string): string | undefined {
  if (ALLOWED_NAMES.has(name)) return undefined;
  const parts = name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
  return parts.find((part) => STRUCK_NAMES.has(part));
}

const TITLE_BEFORE =
  /\b(?:describe|test|it|suite)(?:\.(?:each|for|skipIf|runIf|only|concurrent|sequential|fails)(?:\s*<[^>]*>)?\s*\((?:[^()]|\([^()]*\))*\)|\.\w+)*\s*\(\s*$/;
/** Schema descriptions are part of the wire format, keys of records are data, and imports are paths. */
const NOT_A_MESSAGE = /(?:\.describe\(|\bdescription:|\bsummary:|\bfrom|\bimport\(?)\s*$/;

/** Searches one source file; `path` decides by its folder whether strings are titles or messages. */
export function checkLanguage(path: string, source: string): LanguageReport {
  const { comments, strings, code } = scanSource(source);
  const matches: Match[] = [];
  const is_test = path.startsWith('test/') || path.includes('/test/');
  const lines_matched = new Set<number>();
  let comment_lines = 0;
  for (const comment of comments) {
    const lines = comment.text.split('\n');
    comment_lines += lines.filter((line) => line !== '' && !line.startsWith('biome-ignore')).length;
    for (const { at, found, instead } of findStruck(comment.text)) {
      const offset = comment.text.slice(0, at).split('\n').length - 1;
      const line = comment.line + offset;
      matches.push({ kind: 'comment', line, text: lines[offset] ?? '', found, instead });
      lines_matched.add(line);
    }
  }
  for (const { line, text, before } of strings) {
    const is_title = is_test && TITLE_BEFORE.test(before);
    const is_message = !is_test && /\S \S/.test(text) && !NOT_A_MESSAGE.test(before);
    if (!is_title && !is_message) continue;
    for (const { found, instead } of findStruck(text)) {
      matches.push({ kind: is_title ? 'title' : 'message', line, text, found, instead });
    }
  }
  matches.push(...findNames(code));
  const file = path.split('/').find((part) => findStruckName(part) !== undefined);
  if (file !== undefined) {
    matches.push({
      kind: 'file',
      line: 1,
      text: path,
      found: findStruckName(file) ?? '',
      instead: 'another name',
    });
  }
  return { matches, comment_lines, matching_comment_lines: lines_matched.size };
}

const EXPORT =
  /\bexport (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type) (\w+)/g;

/** Identifiers with a struck word: each once per file, where it is not imported and not only a member that is read. */
function findNames(code: string): Match[] {
  const own = code.replaceAll(/^\s*(?:import|export)\b[^;=(]*?\bfrom\b[^;]*;/gm, (text) =>
    text.replaceAll(/[^\n]/g, ' '),
  );
  const imported = new Set(code.match(/^\s*import\b[^;]*;/gm)?.flatMap((text) => text.match(/\w+/g) ?? []));
  const exported = new Set([...own.matchAll(EXPORT)].map((match) => match[1] ?? ''));
  const seen = new Set<string>();
  const matches: Match[] = [];
  for (const { 0: name, index } of own.matchAll(/(?<![.\w$])#?[A-Za-z_]\w*/g)) {
    const found = seen.has(name) || imported.has(name) ? undefined : findStruckName(name);
    if (found === undefined) continue;
    seen.add(name);
    const line = own.slice(0, index).split('\n').length;
    matches.push({
      kind: exported.has(name) ? 'export' : 'identifier',
      line,
      text: name,
      found,
      instead: 'another name',
    });
  }
  return matches;
}
