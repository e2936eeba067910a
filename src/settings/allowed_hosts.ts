/** The hosts that the operator lists. Loads the parser of the list only if the setting exists. */

/** Whether KEYHOLD_EGRESS_ALLOW lists a host and port; `undefined` if the setting is missing. Rejects with INVALID_INPUT. */
export async function hostsOfOperator(
  env: NodeJS.ProcessEnv,
  home: string,
): Promise<((host: string, port: number) => boolean) | undefined> {
  if (env.KEYHOLD_EGRESS_ALLOW === undefined) return undefined;
  const { parseEgressSettings } = await import('./egress.ts');
  const { allow } = parseEgressSettings(env, home);
  return (host, port) => allow.allowsName(host, port) || allow.allows(host, port, host);
}
