/**
 * The order of the authentication methods (RFC 4252): the private key, the password, and the password as the response to the only
 * prompt of a server (RFC 4256). A server judges the password once, so that a test does not lock the account.
 */
import type {
  AuthenticationType,
  AuthHandlerMiddleware,
  KeyboardInteractiveAuthMethod,
  ParsedKey,
} from 'ssh2';
import type { Secret } from '../../contract/secret.ts';
import type { Finding } from '../probe.ts';

export interface SshCredential {
  readonly username: string;
  readonly password: Secret | undefined;
  readonly key: ParsedKey | undefined;
}

export type SshFailure = Omit<Finding, 'checked' | 'facts'>;

type Method = 'publickey' | 'password' | 'keyboard-interactive';

const METHOD_NAMES: Readonly<Record<Method, string>> = {
  publickey: 'a private key',
  password: 'a password',
  'keyboard-interactive': 'responses to prompts',
};
const MORE_REQUIRED: SshFailure = {
  reason: 'unexpected_response',
  detail: 'The server requires more than the credential has, such as a one-time code.',
};

export class SshAuthentication {
  readonly #credential: SshCredential;
  readonly #tried = new Set<Method>();
  #is_password_judged = false;
  #is_prompt_used = false;
  /** The result of a login that failed. */
  failure: SshFailure | undefined;
  /** Called when the login cannot go on. */
  onFailure: (failure: SshFailure) => void = () => undefined;

  constructor(credential: SshCredential) {
    this.#credential = credential;
  }

  fail(failure: SshFailure): void {
    this.failure = failure;
    this.onFailure(failure);
  }

  /** `offered`: null before the first attempt. */
  readonly handler: AuthHandlerMiddleware = (
    offered: readonly AuthenticationType[] | null,
    is_part_accepted: boolean | null,
    next,
  ) => {
    const { username, password, key } = this.#credential;
    if (this.#tried.has('password') && (is_part_accepted || offered?.includes('password')))
      this.#is_password_judged = true;
    const canTry = (method: Method) =>
      !this.#tried.has(method) && (offered === null || offered.includes(method));
    if (key !== undefined && canTry('publickey')) {
      this.#tried.add('publickey');
      next({ type: 'publickey', username, key });
    } else if (password !== undefined && canTry('password')) {
      this.#tried.add('password');
      next({ type: 'password', username, password: password.reveal() });
    } else if (password !== undefined && canTry('keyboard-interactive') && !this.#is_password_judged) {
      this.#tried.add('keyboard-interactive');
      next({ type: 'keyboard-interactive', username, prompt: this.#prompt });
    } else this.fail(is_part_accepted ? MORE_REQUIRED : this.#refused(offered ?? []));
  };

  readonly #prompt: KeyboardInteractiveAuthMethod['prompt'] = (_name, _text, _language, prompts, finish) => {
    const [first] = prompts;
    const { password } = this.#credential;
    if (prompts.length !== 1 || first?.echo || this.#is_prompt_used || password === undefined)
      return this.fail(MORE_REQUIRED);
    this.#is_prompt_used = true;
    finish([password.reveal()]);
  };

  #refused(offered: readonly string[]): SshFailure {
    const reason = 'refused_credentials';
    const methods = (Object.keys(METHOD_NAMES) as Method[]).filter((method) => offered.includes(method));
    if (methods.length === 0 || methods.some((method) => this.#tried.has(method))) return { reason };
    const names = methods.map((method) => METHOD_NAMES[method]).join(' or ');
    return { reason, detail: `The server accepts only ${names} for this user.` };
  }
}
