/**
 * Tests a login over SFTP, and whether the user may write: a file with an unpredictable name is created in a folder and removed.
 * Without a stored fingerprint, the host key is trusted at the first successful login, and the runner stores it. With one, the
 * server must prove a key that has it; if the server has keys of several types, each is tried. Otherwise nothing is sent.
 */
import { VaultError } from '../../contract/errors.ts';
import { findingOf } from '../failures.ts';
import type { Finding, Probe, ProbeNetwork, ProbeParameters } from '../probe.ts';
import type { SshCredential } from '../ssh/authentication.ts';
import { hostKeyAlgorithms, parseFingerprint } from '../ssh/host_key.ts';
import { logIn, type SshLogin } from '../ssh/login.ts';
import { readPrivateKey } from '../ssh/private_key.ts';
import { checkWriteAccess, openSftp } from '../ssh/write_access.ts';

const DEFAULT_PORT = 22;
/** The folder after the login. */
const DEFAULT_FOLDER = '.';

export const probeSftp: Probe = async (parameters, network, { signal }) => {
  const username = parameters.get('username')?.reveal();
  const private_key = parameters.get('private_key');
  const password = parameters.get('password');
  if (!username || (private_key ?? password) === undefined) return { reason: 'not_testable', checked: [] };
  const read = private_key && (await readPrivateKey(private_key, parameters.get('passphrase'), signal));
  if (read !== undefined && 'problem' in read)
    return { reason: 'key_unreadable', checked: [], detail: read.problem };
  const stored = fingerprintOf(parameters);
  const login = await connect(parameters, network, stored, { username, password, key: read?.key });
  const facts = {
    ...(login.software === undefined ? {} : { server: login.software }),
    ...(login.host_key === undefined ? {} : { host_key: login.host_key.fingerprint }),
  };
  if (login.failure !== undefined) return { ...login.failure, checked: login.checked, facts };
  const folder = parameters.get('test_path')?.reveal() || DEFAULT_FOLDER;
  const tested = await testFolder(login, folder, signal);
  return {
    ...tested,
    account: username,
    facts: { ...facts, test_path: folder, ...tested.facts },
    ...(stored === undefined ? { host_key: login.host_key?.fingerprint } : {}),
  };
};

async function testFolder(
  { client, checked }: SshLogin,
  folder: string,
  signal: AbortSignal,
): Promise<Finding> {
  try {
    const sftp = await openSftp(client);
    if (sftp === undefined) {
      const detail = 'The login works, but the server starts no SFTP session for this user.';
      return { reason: 'permission_missing', checked: [...checked, 'SFTP'], detail };
    }
    const access = await checkWriteAccess(client, sftp, folder, signal);
    client.end();
    return { ...access, checked: [...checked, 'SFTP', 'write access'] };
  } catch (error) {
    return findingOf(error, checked);
  }
}

/** `undefined`: none is stored. Throws INVALID_INPUT. */
function fingerprintOf(parameters: ProbeParameters): string | undefined {
  const text = parameters.get('host_key')?.reveal();
  const fingerprint = text && parseFingerprint(text);
  if (text && fingerprint === undefined)
    throw new VaultError(
      'INVALID_INPUT',
      'The stored fingerprint is not one of SHA-256. Store it as `ssh-keygen -lf` prints it: `SHA256:` and 43 characters.',
    );
  return fingerprint || undefined;
}

async function connect(
  parameters: ProbeParameters,
  network: ProbeNetwork,
  fingerprint: string | undefined,
  credential: SshCredential,
): Promise<SshLogin> {
  const host = parameters.get('host')?.reveal() ?? '';
  const port = Number(parameters.get('port')?.reveal() ?? DEFAULT_PORT);
  const withKeysAfter = async (type?: string): Promise<SshLogin> => {
    const { socket } = await network.connect({ host, port, tls: false });
    const algorithms = hostKeyAlgorithms(type);
    const login = await logIn(socket, { ...credential, fingerprint, algorithms });
    const presented = login.host_key?.type;
    const is_other = login.failure?.reason === 'host_key_changed' && presented !== undefined;
    if (!is_other || hostKeyAlgorithms(presented).length === 0) return login;
    const next = await withKeysAfter(presented).catch(() => login);
    // The server has no such key, or not the expected one.
    return next.host_key === undefined || next.failure?.reason === 'host_key_changed' ? login : next;
  };
  return withKeysAfter();
}
