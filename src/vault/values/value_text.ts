/**
 * Normalizes the text of a value, and detects texts that are not values: placeholders, masked values, references to a
 * value elsewhere, and texts with invisible characters. Stored, they would replace a value that works. No result repeats
 * the text.
 */
import { UNPRINTABLE_CHARACTER_PATTERN } from '../../contract/patterns.ts';

/** Removes a byte order mark and white space around the value. A value of several lines keeps its last line end. */
export function normalizeValue(text: string): string {
  const value = text.trim();
  if (!/[\r\n]/.test(value)) return value;
  // OpenSSH refuses a private key without it.
  const [line_end = ''] = /^\r?\n/.exec(text.slice(text.indexOf(value) + value.length)) ?? [];
  return value + line_end;
}

/** Control characters that a value of several lines may have. */
const LINE_CHARACTERS = /[\t\n\r]/g;

/** No placeholder is longer. Bounds the patterns below. */
const PLACEHOLDER_MAX_CHARACTERS = 200;

const WHAT = '(?:api|access|auth|oauth|bearer|client|private|refresh|secret|personal)';
const KIND = '(?:key|keys|token|secret|password|passwd|passphrase|pat|credential|credentials|apikey|value)';

/** Whole texts that point to a value elsewhere. */
const REFERENCES: readonly RegExp[] = [
  // A secret manager, or the environment.
  /^(?:env|vault|op|bw|pass|secret|secrets|keyring|keychain|doppler|infisical|akv|awssm|gcpsm|ssm|sops|ref\+[a-z]+|aws-secretsmanager|gcp-secretmanager|azure-keyvault):\/\//i,
  /^arn:aws[a-z-]*:(?:secretsmanager|ssm):/i,
  /^projects\/[^/\s]+\/secrets\/[^/\s]+(?:\/versions\/[^/\s]+)?$/,
  /^@Microsoft\.KeyVault\(.*\)$/i,
  /^ENC\[[A-Z0-9_]+,.*\]$/,
  // An unexpanded variable or command: sh, PowerShell, cmd, templates, JavaScript, Python.
  /^\$?\$\{.*\}$/s,
  /^\$\(.*\)$/s,
  /^\$(?:[A-Z]{4,}|[A-Z][A-Z0-9]*_[A-Z0-9_]+)$/,
  /^\$env:[A-Za-z_]\w*$/i,
  /^%[A-Z][A-Z0-9_]{2,}%$/,
  /^\$?\{\{.*\}\}$/s,
  /^(?:process\.env|import\.meta\.env|os\.environ|os\.getenv|ENV|Deno\.env)[.[(].*$/,
];

/** Whole texts that are placeholders for a value. */
const PLACEHOLDERS: readonly RegExp[] = [
  /^<[\p{L}\p{N}_][\p{L}\p{N} _.:-]*>$/u,
  /^[<[({*_#-]*(?:redacted|hidden|masked|filtered|censored|scrubbed|removed|omitted)[>\])}*_#-]*$/i,
  new RegExp(`^[[({]+(?:[a-z0-9]+[ _-])*${WHAT}?[ _-]?${KIND}(?:[ _-]here)?[\\])}]+$`, 'i'),
  new RegExp(
    `^(?:[a-z0-9]+[ _-])*your[ _-]?(?:[a-z0-9]+[ _-])*${WHAT}?${KIND}(?:[ _-]?(?:goes[ _-])?here)?$`,
    'i',
  ),
  new RegExp(`^(?:[a-z0-9]+[ _-])*${KIND}[ _-](?:goes[ _-])?here$`, 'i'),
  new RegExp(`^(?:insert|enter|paste|put|add)[ _-](?:[a-z0-9]+[ _-])*${KIND}(?:[ _-]here)?$`, 'i'),
  /^(?:replace|change|fill)[ _-](?:with|this|it|in|me)(?:[ _-].*)?$/i,
  /^[*\u2022\u25cf\u25cb\u2219\u00b7\u2026.\u2217\uff0a]{3,}$/,
  /^x{8,}$/i,
];

/** Texts that a program writes for a value that it does not have. */
const NO_VALUE = /^(?:undefined|null|none|nil|nan|\[object \w+\])$/i;
/** A secret that is masked in part: `sk-****1234`. Four in a row are not found in generated secrets. */
const MASKED_PART = /\*{4}|[\u2022\u25cf\u2219]{2}|\S\u2026\S/;

/**
 * The end of a sentence with the reason why the normalized text cannot be a value; `undefined` if it can. `secret`: also
 * detects texts that a field which is not secret may have.
 */
export function findValueProblem(
  value: string,
  { secret }: { readonly secret: boolean },
): string | undefined {
  if (UNPRINTABLE_CHARACTER_PATTERN.test(value.replace(LINE_CHARACTERS, ' '))) {
    return 'has an invisible character, such as a zero-width space, a direction mark or a control character; copy it again from its source, or type it';
  }
  if (secret && MASKED_PART.test(value) && !value.includes('\n'))
    return 'is masked: some of its characters are hidden; give the whole value';
  if (value.length > PLACEHOLDER_MAX_CHARACTERS) return undefined;
  if (REFERENCES.some((pattern) => pattern.test(value))) {
    return 'is a reference to a value elsewhere; give the value itself';
  }
  if (PLACEHOLDERS.some((pattern) => pattern.test(value)) || (secret && NO_VALUE.test(value))) {
    return 'is a placeholder or masked text; give the value itself';
  }
  return undefined;
}
