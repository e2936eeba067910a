/**
 * Runs the patterns of fields. Those of the built-in definitions are linear and run natively; every other pattern comes from
 * a file that somebody else may have written and runs on RE2, whose time is linear in the length of the text.
 */
import { createRequire } from 'node:module';

/** Longer texts match no pattern of a custom definition. */
export const CUSTOM_PATTERN_TEXT_MAX_CHARACTERS = 4_096;

/** The patterns of the built-in definitions, which a test compares with this list. None can backtrack. */
const BUILT_IN_PATTERNS: ReadonlySet<string> = new Set([
  String.raw`^\S+$`,
  String.raw`^\d{1,5}$`,
  '^[a-z0-9-]{3,40}$',
  '^[A-Za-z0-9][A-Za-z0-9-]{0,62}$',
  '^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$',
  '^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$',
  String.raw`^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::\d{1,5})?$`,
  String.raw`^[A-Za-z0-9][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9-]{2,10})?\.auth0\.com$`,
  String.raw`^[A-Za-z0-9][A-Za-z0-9-]{0,62}\.(?:okta|oktapreview|okta-emea|okta-gov)\.com$`,
  String.raw`^(?:FlyV1 )?\S+$`,
  '^(?:us|eu)$',
  '^(?:sandbox|production)$',
  String.raw`^(?:my|sandbox\.my|develop\.my|scratch\.my|trailblaze\.my)$`,
  '^(?:SHA256:[A-Za-z0-9+/]{43}=?|[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31})$',
  String.raw`^(?:connect\.squareup\.com|connect\.squareupsandbox\.com)$`,
]);

/** Whether a whole text matches. */
export type Matcher = (text: string) => boolean;

/** The used part of `re2js`. */
interface LinearEngine {
  readonly RE2JS: { compile(pattern: string): { matches(text: string): boolean } };
}

/** By pattern. Bounded by the number of fields of all services. */
const compiled = new Map<string, Matcher>();

/** Whether the pattern is one of a built-in definition. */
export function isBuiltInPattern(pattern: string): boolean {
  return BUILT_IN_PATTERNS.has(pattern);
}

/** Throws if the engine cannot run the pattern: RE2 has neither look-around nor back references. */
export function compilePattern(pattern: string): Matcher {
  const known = compiled.get(pattern);
  if (known !== undefined) return known;
  const made = isBuiltInPattern(pattern) ? nativeMatcher(pattern) : linearMatcher(pattern);
  compiled.set(pattern, made);
  return made;
}

function nativeMatcher(pattern: string): Matcher {
  const whole = new RegExp(`^(?:${pattern})$`, 'u');
  return (text) => whole.test(text);
}

function linearMatcher(pattern: string): Matcher {
  // Loaded on first use: it would add 50 ms to every start.
  const { RE2JS } = createRequire(import.meta.url)('re2js') as LinearEngine;
  const whole = RE2JS.compile(`^(?:${pattern})$`);
  return (text) => text.length <= CUSTOM_PATTERN_TEXT_MAX_CHARACTERS && whole.matches(text);
}
