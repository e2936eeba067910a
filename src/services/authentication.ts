/** Chooses how a credential of a service is added to a request, and tells which environment variables its values go to. */
import type { AuthenticationMode, InjectionRule, TestRequest } from '../contract/service/authentication.ts';
import type { Service } from '../contract/service/service.ts';

/** What the conditions of a mode need to know of the values. */
export interface ModeConditions {
  has(field_id: string): boolean;
  startsWith(field_id: string, prefix: string): boolean;
  endsWith(field_id: string, suffix: string): boolean;
}

/** The first mode whose conditions all hold; undefined if none does, or the service has no modes. */
export function chooseMode(service: Service, values: ModeConditions): AuthenticationMode | undefined {
  return service.modes?.find(({ when }) => {
    return (
      (when.fields ?? []).every((id) => values.has(id)) &&
      Object.entries(when.prefix ?? {}).every(([id, prefix]) => values.startsWith(id, prefix)) &&
      Object.entries(when.suffix ?? {}).every(([id, suffix]) => values.endsWith(id, suffix))
    );
  });
}

/** How requests with a credential are made. Texts are templates. */
export interface Authentication {
  readonly injection: InjectionRule;
  /** Sent unless the caller sends a header of the same name. */
  readonly default_headers: Readonly<Record<string, string>>;
  readonly base_url: string | undefined;
  readonly hosts: readonly string[];
  readonly test: TestRequest | undefined;
}

/**
 * The authentication of a mode, by its id; what a mode does not define is that of the service. An unknown id is as none:
 * the definition has changed since.
 */
export function authenticationOf(service: Service, mode_id?: string): Authentication {
  const mode = service.modes?.find(({ id }) => id === mode_id);
  return {
    injection: mode?.injection ?? service.injection,
    default_headers: mode?.default_headers ?? service.default_headers ?? {},
    base_url: mode?.base_url ?? service.base_url,
    hosts: mode?.hosts ?? service.hosts,
    test: mode?.test ?? service.test,
  };
}

/** The injection rule for a request: the first host rule that matches, else `injection`. `expand` fills in a host template. */
export function injectionFor(
  service: Service,
  injection: InjectionRule,
  url: { readonly host: string; readonly pathname: string },
  expand: (template: string) => string | undefined,
): InjectionRule {
  const rule = service.host_rules?.find(({ host, path_prefix = '/' }) => {
    const name = expand(host);
    const is_host =
      name === url.host || (name?.startsWith('*.') === true && url.host.endsWith(name.slice(1)));
    return is_host && isWithin(url.pathname, path_prefix);
  });
  return rule?.injection ?? injection;
}

/** Whether a path begins with whole segments of a prefix: `/a` has `/a/b`, not `/ab`. */
function isWithin(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
}
