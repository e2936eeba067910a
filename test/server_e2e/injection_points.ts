/** Where a caller can put a text of their own in a good request: path, query, and body, keys of it too. */
import type { Ask } from '../kit/http/in_process_server.ts';
import type { Operation } from './operations/operations.ts';

export interface InjectionPoint {
  /** `path 3`, `query stack_id`, `body credentials.linear_api_key`, `key in body credentials`. */
  readonly where: string;
  /** The name of the parameter or property; of a key, of the object that it is in. */
  readonly name: string;
  /** The request with this text there. */
  readonly put: (text: unknown) => Ask;
}

/** All places of a request, each with what the request is otherwise. */
export function injectionPointsIn(operation: Operation, ask: Ask): InjectionPoint[] {
  return [...pathPlaces(operation, ask), ...queryPlaces(ask), ...bodyPlaces(ask)];
}

function pathPlaces({ name }: Operation, ask: Ask): InjectionPoint[] {
  const template = (name.split(' ')[1] ?? '').split('/');
  const [path = '', query] = ask.path.split('?');
  return template.flatMap((step, at) => {
    if (!step.startsWith('{')) return [];
    const put = (text: unknown) => {
      const steps = path.split('/');
      steps[at] = inUrl(text);
      return { ...ask, path: steps.join('/') + (query === undefined ? '' : `?${query}`) };
    };
    return [{ where: `path ${at}`, name: step.slice(1, -1), put }];
  });
}

function queryPlaces(ask: Ask): InjectionPoint[] {
  const [path = '', query] = ask.path.split('?');
  if (query === undefined) return [];
  return [...new URLSearchParams(query).keys()].map((name) => ({
    where: `query ${name}`,
    name,
    put: (text) => {
      const parts = query.split('&').filter((part) => !part.startsWith(`${name}=`));
      return { ...ask, path: `${path}?${[...parts, `${name}=${inUrl(text)}`].join('&')}` };
    },
  }));
}

function bodyPlaces(ask: Ask): InjectionPoint[] {
  const { body } = ask;
  if (typeof body !== 'object' || body === null) return [];
  const places: InjectionPoint[] = [];
  const collect = (value: object, steps: readonly string[]) => {
    const name = steps.at(-1) ?? '';
    if (!Array.isArray(value))
      places.push({
        where: `key in body ${steps.join('.')}`,
        name,
        put: (text) => ({
          ...ask,
          body: changed(body, steps, (inner) => ({ ...inner, [String(text)]: 'x' })),
        }),
      });
    for (const [key, inner] of Object.entries(value)) {
      const path = [...steps, key];
      const put = (text: unknown) => ({
        ...ask,
        body: changed(body, steps, (of) =>
          Array.isArray(of) ? of.map((one, at) => (String(at) === key ? text : one)) : { ...of, [key]: text },
        ),
      });
      places.push({ where: `body ${path.join('.')}`, name: key, put });
      if (typeof inner === 'object' && inner !== null) collect(inner, path);
    }
  };
  collect(body, []);
  return places;
}

/** A copy in which what is at the end of the steps was changed. */
function changed(value: object, steps: readonly string[], change: (inner: object) => unknown): object {
  const [step, ...rest] = steps;
  if (step === undefined) return change(value) as object;
  const inner: unknown = Reflect.get(value, step);
  const made = typeof inner === 'object' && inner !== null ? changed(inner, rest, change) : inner;
  if (Array.isArray(value)) return value.map((one, at) => (String(at) === step ? made : one));
  return { ...value, [step]: made };
}

function inUrl(text: unknown): string {
  return encodeURIComponent((typeof text === 'string' ? text : JSON.stringify(text)).toWellFormed());
}
