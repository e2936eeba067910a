/**
 * Parses the settings with which Keyhold authenticates at OpenBao or HashiCorp Vault. The variables of their command lines work
 * too.
 */
import * as z from 'zod';
import { assertNoReference, invalidSetting, parseEnvironment } from '../environment.ts';
import { resolvePath } from '../folders.ts';

export interface TransitAccess {
  readonly namespace: string | undefined;
  /** Undefined: no token is set. */
  readonly login:
    | { readonly kind: 'token'; readonly token: string }
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'kubernetes'; readonly role: string; readonly path: string }
    | undefined;
}

const TransitEnvironment = z.object({
  KEYHOLD_TRANSIT_TOKEN_FILE: z.string().min(1, 'must be the path of a file').optional(),
  KEYHOLD_TRANSIT_KUBERNETES_ROLE: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,200}$/, 'must be the name of a role')
    .optional(),
  KEYHOLD_TRANSIT_NAMESPACE: z
    .string()
    .regex(/^[A-Za-z0-9_./-]{1,500}$/, 'must be the name of a namespace')
    .optional(),
});
const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/** Throws INVALID_INPUT, reason `setting_invalid`. */
export function parseTransitAccess(env: NodeJS.ProcessEnv, home: string): TransitAccess {
  const parsed = parseEnvironment(TransitEnvironment, env);
  const { KEYHOLD_TRANSIT_TOKEN_FILE: file, KEYHOLD_TRANSIT_KUBERNETES_ROLE: role } = parsed;
  const own = env.KEYHOLD_TRANSIT_TOKEN?.trim();
  if ([own, file, role].filter(Boolean).length > 1)
    throw invalidSetting(
      'KEYHOLD_TRANSIT_TOKEN, KEYHOLD_TRANSIT_TOKEN_FILE or KEYHOLD_TRANSIT_KUBERNETES_ROLE must be the only one of the three',
    );
  const namespace =
    parsed.KEYHOLD_TRANSIT_NAMESPACE ?? (env.BAO_NAMESPACE || env.VAULT_NAMESPACE || undefined);
  const login = (): TransitAccess['login'] => {
    if (file !== undefined)
      return { kind: 'file', path: resolvePath('KEYHOLD_TRANSIT_TOKEN_FILE', file, home, env) };
    if (role !== undefined) return { kind: 'kubernetes', role, path: SERVICE_ACCOUNT_TOKEN };
    const token = own || env.BAO_TOKEN?.trim() || env.VAULT_TOKEN?.trim();
    if (!token) return undefined;
    assertNoReference('KEYHOLD_TRANSIT_TOKEN', token);
    return { kind: 'token', token };
  };
  return { namespace, login: login() };
}
