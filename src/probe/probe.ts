/** The interface of the probes: parameters, connections and findings. */
import type { Socket } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { Secret } from '../contract/secret.ts';
import type { ConnectionParameter } from '../contract/service/connection.ts';
import type { TestReason } from '../contract/use/test_result.ts';

/** Values by parameter; those that have none are missing. */
export type ProbeParameters = ReadonlyMap<ConnectionParameter, Secret>;

export interface ProbedEndpoint {
  /** A name or an address; IPv6 with brackets. */
  readonly host: string;
  readonly port: number;
  /** Whether TLS begins with the connection. */
  readonly tls: boolean;
}

export interface ProbeConnection {
  /** It has the time and size limits of a test, and is closed when the test ends. */
  readonly socket: Socket;
  /** False: the address is private, and the operator allows it. */
  readonly is_public: boolean;
}

/** The only way of a probe to the network. */
export interface ProbeNetwork {
  /** Rejects with VaultError: FORBIDDEN for an address that may not be used, UPSTREAM for a connection that failed. */
  connect(endpoint: ProbedEndpoint): Promise<ProbeConnection>;
  /** For TLS that begins later on a connection: strict, for the name of the host, without brackets. */
  tlsOptions(host: string): ConnectionOptions;
  /** Begins TLS on a connection. Rejects with the error of the handshake. */
  startTls(socket: Socket, options: ConnectionOptions): Promise<TLSSocket>;
}

/** The result of a probe. */
export interface Finding {
  readonly reason: TestReason;
  /** The checks that were made, such as `login` or `write access`. */
  readonly checked: readonly string[];
  /** The account of the credential, if the server reports it. */
  readonly account?: string | undefined;
  /** Further facts, such as `server_version`, `tls`, `can_write`. */
  readonly facts?: Readonly<Record<string, string>> | undefined;
  /** The server's message about a failure, of any length. It is cleaned, cut and redacted before it is shown. */
  readonly server_message?: string | undefined;
  /** A part of the message beside that of the reason, such as which permission is missing. Never text of a server. */
  readonly detail?: string | undefined;
  /** The fingerprint of the server's SSH key, if the credential has none. */
  readonly host_key?: string | undefined;
}

/** A finding, and the facts for the audit log. */
export interface Tested {
  readonly finding: Finding;
  /** HTTP. */
  readonly status?: number | undefined;
  /** Where the values were sent, if it was not known before. */
  readonly origin?: string | undefined;
  readonly address?: string | undefined;
}

/**
 * Tests a credential over one protocol. Resolves with a finding for everything that it can explain; anything else that it throws
 * is translated by `findingOf` in `failures.ts`. `signal` aborts when the time of the test is over: then nothing may stay
 * open.
 */
export type Probe = (
  parameters: ProbeParameters,
  network: ProbeNetwork,
  options: { readonly signal: AbortSignal },
) => Promise<Finding>;
