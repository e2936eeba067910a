/** Tests a login over the protocol sftp. */
import type { Probe } from '../probe.ts';

export const probeSftp: Probe = async () => ({ reason: 'not_testable', checked: [] });
