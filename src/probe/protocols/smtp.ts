/** Tests a login over the protocol smtp. */
import type { Probe } from '../probe.ts';

export const probeSmtp: Probe = async () => ({ reason: 'not_testable', checked: [] });
