/** Splits TypeScript source into comments, string literals and the remaining code. Knows nothing of what they mean. */

/** A piece of text and the line that it starts on, counted from 1. */
export interface TextAt {
  readonly line: number;
  readonly text: string;
}

export interface StringLiteral extends TextAt {
  /** The last 200 characters of code before the literal; other literals in it are blank. */
  readonly before: string;
}

export interface ScannedSource {
  /** Neighbouring `//` lines are one comment. The text is without the comment signs, one line per source line. */
  readonly comments: readonly TextAt[];
  readonly strings: readonly StringLiteral[];
  /** The source with comments, strings and regular expressions blanked; as long as the source. */
  readonly code: string;
}

const REGEX_BEFORE = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|do|else|throw|await))\s*$/;
/** The slash of a closing or an empty element, with the characters around it. */
const JSX_END = /^<\/[\w>]|^.\/>/;
const REGEX_LITERAL = /\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y;
const COMMENT = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/y;
const QUOTED = /'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"/y;
const TEMPLATE_PART = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*/y;

export function scanSource(source: string): ScannedSource {
  const scan = new Scan(source);
  scan.run();
  return { comments: joinLines(scan.comments), strings: scan.strings, code: scan.code };
}

class Scan {
  readonly comments: TextAt[] = [];
  readonly strings: StringLiteral[] = [];
  code = '';
  readonly #source: string;
  /** For each open template literal: its start, its text so far, and the braces open inside its `${`. */
  readonly #templates: { at: number; text: string; braces: number }[] = [];
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  run(): void {
    while (this.#at < this.#source.length) {
      const char = this.#source.charAt(this.#at);
      if (char === '/' && this.#comment()) continue;
      if (char === '/' && this.#regex()) continue;
      if ((char === "'" || char === '"') && this.#quoted()) continue;
      if (char === '`') this.#template();
      else if (!this.#brace(char)) this.#keep(1);
    }
  }

  #comment(): boolean {
    const text = this.#match(COMMENT);
    if (text === undefined) return false;
    const line = this.#lineOf(this.#at);
    this.comments.push({ line, text });
    this.#blank(text.length);
    return true;
  }

  #regex(): boolean {
    if (JSX_END.test(this.#source.slice(this.#at - 1, this.#at + 2))) return false;
    if (!REGEX_BEFORE.test(this.code.slice(-40))) return false;
    const text = this.#match(REGEX_LITERAL);
    if (text === undefined) return false;
    this.#blank(text.length);
    return true;
  }

  #quoted(): boolean {
    const text = this.#match(QUOTED);
    if (text === undefined) return false;
    this.#addString(this.#at, text.slice(1, -1));
    this.#blank(text.length);
    return true;
  }

  #template(): void {
    this.#templates.push({ at: this.#at, text: '', braces: 0 });
    this.#blank(1);
    this.#templateText();
  }

  #templateText(): void {
    const open = this.#templates.at(-1);
    if (open === undefined) return;
    const text = this.#match(TEMPLATE_PART) ?? '';
    open.text += text;
    this.#blank(text.length);
    if (this.#source.startsWith('${', this.#at)) {
      open.text += '…';
      open.braces = 1;
      this.#blank(2);
      return;
    }
    this.#templates.pop();
    this.#addString(open.at, open.text);
    this.#blank(1);
  }

  /** Follows braces inside `${...}`; returns true if it consumed the one that ends it. */
  #brace(char: string): boolean {
    const open = this.#templates.at(-1);
    if (open === undefined) return false;
    if (char === '{') open.braces++;
    if (char !== '}') return false;
    open.braces--;
    if (open.braces > 0) return false;
    this.#blank(1);
    this.#templateText();
    return true;
  }

  #addString(at: number, text: string): void {
    this.strings.push({ line: this.#lineOf(at), text, before: this.code.slice(Math.max(0, at - 200), at) });
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#source)?.[0];
  }

  #keep(length: number): void {
    this.code += this.#source.slice(this.#at, this.#at + length);
    this.#at += length;
  }

  #blank(length: number): void {
    this.code += this.#source.slice(this.#at, this.#at + length).replaceAll(/[^\n]/g, ' ');
    this.#at += length;
  }

  #lineOf(at: number): number {
    let line = 1;
    for (let i = this.#source.indexOf('\n'); i !== -1 && i < at; i = this.#source.indexOf('\n', i + 1))
      line++;
    return line;
  }
}

/** Removes the comment signs and joins `//` comments on neighbouring lines, so that sentences are whole. */
function joinLines(comments: readonly TextAt[]): TextAt[] {
  const joined: TextAt[] = [];
  let next_line = 0;
  for (const { line, text } of comments) {
    const bare = text
      .replace(/^\/\*\*?|\*\/$/g, '')
      .split('\n')
      .map((one) => one.replace(/^\s*(?:\*(?!\*)|\/\/+)/, '').trim())
      .join('\n');
    const last = joined.at(-1);
    if (text.startsWith('//') && last !== undefined && line === next_line) {
      joined[joined.length - 1] = { line: last.line, text: `${last.text}\n${bare}` };
    } else {
      joined.push({ line, text: bare });
    }
    next_line = text.startsWith('//') ? line + 1 : 0;
  }
  return joined;
}
