/** Tests a login over the protocol imap. */
import type { Probe } from '../probe.ts';

export const probeImap: Probe = async () => ({ reason: 'not_testable', checked: [] });
