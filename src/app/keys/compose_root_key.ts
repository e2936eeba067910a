/** Builds the source of the root key from the settings and the environment. */
import { Secret } from '../../contract/secret.ts';
import type { Egress } from '../../egress/egress.ts';
import { assertNoReference } from '../../settings/environment.ts';
import { assertKmsEndpoint } from '../../settings/keys/root_key.ts';
import { parseTransitAccess } from '../../settings/keys/transit.ts';
import type { Settings } from '../../settings/settings.ts';
import type { SendRequest } from '../../vault/keys/key_service.ts';
import type { RootKeySource } from '../../vault/keys/root_key.ts';

export interface RootKeyParts {
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
  /** Prompts for a passphrase without showing it. */
  readonly promptSecret: (question: string) => Promise<Secret | undefined>;
  /** Connects to the key service that the operator names. */
  readonly operatorEgress: () => Promise<Egress>;
}

/** Rejects with INVALID_INPUT for an invalid setting of the source. A source loads its client at its first use. */
export async function composeRootKey(
  setting: Settings['root_key'],
  { env, home, promptSecret, operatorEgress }: RootKeyParts,
): Promise<RootKeySource> {
  const secret = (name: string, label = name) => {
    const text = env[name];
    if (text === undefined || text.trim() === '') return undefined;
    assertNoReference(label, text);
    return new Secret(text);
  };
  switch (setting.kind) {
    case 'file':
      return setting;
    case 'env':
      // The name may be a misplaced key, so that no message repeats it.
      return { ...setting, value: secret(setting.name, 'that KEYHOLD_ROOT_KEY names') };
    case 'passphrase':
      return {
        kind: 'passphrase',
        prompt: async () => secret('KEYHOLD_PASSPHRASE') ?? promptSecret('Passphrase of the vault'),
      };
    case 'keychain':
      return new (await import('../../vault/keys/keychain.ts')).Keychain(setting.name);
    case 'aws-kms':
      assertKmsEndpoint(env);
      return new (await import('../../vault/keys/aws_kms.ts')).AwsKmsKey(setting, sendWith(operatorEgress));
    case 'transit': {
      const { namespace, login } = parseTransitAccess(env, home);
      const token = login?.kind === 'token' ? { kind: login.kind, token: new Secret(login.token) } : login;
      const { TransitKey } = await import('../../vault/keys/transit.ts');
      return new TransitKey({ ...setting, namespace, login: token }, sendWith(operatorEgress));
    }
  }
}

function sendWith(operatorEgress: RootKeyParts['operatorEgress']): SendRequest {
  return async (url, request, limits) => {
    const { requestDocument } = await import('../../egress/documents.ts');
    return requestDocument(await operatorEgress(), url, request, limits);
  };
}
