/** The connections with OAuth of a process, and their access tokens. The parts are loaded by the first one. */
import type { Connections } from '../contract/connection.ts';
import type { Egress } from '../egress/egress.ts';
import type { AccessTokens } from '../use/access_tokens.ts';
import type { ValueProducer } from '../use/values/value_producer.ts';
import type { RevokeTokens } from '../vault/oauth/revocations.ts';
import type { Vault } from '../vault/vault.ts';

/** One instance for each vault, so that all interfaces share its limit of device codes. */
export function composeConnections(
  openEgress: () => Promise<Egress>,
  openProducer: () => Promise<ValueProducer>,
  now: () => Date,
): (vault: Vault) => Connections {
  const open = async (vault: Vault): Promise<Connections> => {
    const [{ ServiceConnections }, egress, values] = await Promise.all([
      import('../oauth/connections.ts'),
      openEgress(),
      openProducer(),
    ]);
    return new ServiceConnections({ vault, egress, values, now });
  };
  const opened = new WeakMap<Vault, Promise<Connections>>();
  return (vault) => {
    const connections = () => {
      const known = opened.get(vault);
      if (known !== undefined) return known;
      const parts = open(vault);
      opened.set(vault, parts);
      // For example an invalid setting or a file that cannot be read: the next request opens them again.
      parts.catch(() => opened.delete(vault));
      return parts;
    };
    return {
      describe: async (caller, input) => (await connections()).describe(caller, input),
      start: async (caller, input, redirect_uri, handle) =>
        (await connections()).start(caller, input, redirect_uri, handle),
      finish: async (caller, parameters) => (await connections()).finish(caller, parameters),
      startDevice: async (caller, input, handle) => (await connections()).startDevice(caller, input, handle),
      deviceState: async (caller, device_id) => (await connections()).deviceState(caller, device_id),
    };
  };
}

/** Revokes the tokens of deleted credentials. Loads its parts with the first one. */
export function composeRevocations(
  openEgress: () => Promise<Egress>,
  openProducer: () => Promise<ValueProducer>,
  now: () => Date,
): RevokeTokens {
  return async (caller, credential) => {
    const [{ revokeTokens }, egress, values] = await Promise.all([
      import('../oauth/revoke_tokens.ts'),
      openEgress(),
      openProducer(),
    ]);
    return revokeTokens({ egress, values, now }, caller, credential);
  };
}

/** One refresher for each vault, so that all interfaces share its requests. */
export function composeTokens(
  openEgress: () => Promise<Egress>,
  openProducer: () => Promise<ValueProducer>,
  now: () => Date,
): (vault: Vault) => AccessTokens {
  const made = new WeakMap<Vault, AccessTokens>();
  const make = (vault: Vault): AccessTokens => {
    let refresher: Promise<AccessTokens> | undefined;
    const open = async () => {
      const [{ TokenRefresher }, egress, values] = await Promise.all([
        import('../oauth/token_refresher.ts'),
        openEgress(),
        openProducer(),
      ]);
      return new TokenRefresher({ uses: vault.uses, egress, values, now });
    };
    const opened = () => {
      refresher ??= open();
      return refresher;
    };
    return {
      // Most credentials have no access token that is refreshed.
      fresh: async (caller, credential, purpose, before_ms) =>
        credential.token === undefined
          ? credential
          : (await opened()).fresh(caller, credential, purpose, before_ms),
      replace: async (caller, credential, purpose) =>
        credential.token === undefined ? undefined : (await opened()).replace(caller, credential, purpose),
      idle: async () => (await refresher?.catch(() => undefined))?.idle(),
    };
  };
  return (vault) => {
    const tokens = made.get(vault) ?? make(vault);
    made.set(vault, tokens);
    return tokens;
  };
}
