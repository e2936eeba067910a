/** The positions of a request where a caller can inject text: path, query, body values and body keys. */
import type { TestRequest } from '../kit/http/in_process_server.ts';
import type { Operation } from './operations/operations.ts';

export interface InjectionPoint {
  /** `path 3`, `query stack_id`, `body credentials.linear_api_key`, `key in body credentials`. */
  readonly where: string;
  /** The name of the parameter or property; for a key, of the object that contains it. */
  readonly name: string;
  /** The request with this text in this position. */
  readonly put: (text: unknown) => TestRequest;
}

/** All injection points of a request. */
export function injectionPointsIn(operation: Operation, request: TestRequest): InjectionPoint[] {
  return [...pathPoints(operation, request), ...queryPoints(request), ...bodyPoints(request)];
}

function pathPoints({ name }: Operation, request: TestRequest): InjectionPoint[] {
  const template = (name.split(' ')[1] ?? '').split('/');
  const [path = '', query] = request.path.split('?');
  return template.flatMap((step, at) => {
    if (!step.startsWith('{')) return [];
    const put = (text: unknown) => {
      const steps = path.split('/');
      steps[at] = inUrl(text);
      return { ...request, path: steps.join('/') + (query === undefined ? '' : `?${query}`) };
    };
    return [{ where: `path ${at}`, name: step.slice(1, -1), put }];
  });
}

function queryPoints(request: TestRequest): InjectionPoint[] {
  const [path = '', query] = request.path.split('?');
  if (query === undefined) return [];
  return [...new URLSearchParams(query).keys()].map((name) => ({
    where: `query ${name}`,
    name,
    put: (text) => {
      const parts = query.split('&').filter((part) => !part.startsWith(`${name}=`));
      return { ...request, path: `${path}?${[...parts, `${name}=${inUrl(text)}`].join('&')}` };
    },
  }));
}

function bodyPoints(request: TestRequest): InjectionPoint[] {
  const { body } = request;
  if (typeof body !== 'object' || body === null) return [];
  const points: InjectionPoint[] = [];
  const collect = (value: object, steps: readonly string[]) => {
    const name = steps.at(-1) ?? '';
    if (!Array.isArray(value))
      points.push({
        where: `key in body ${steps.join('.')}`,
        name,
        put: (text) => ({
          ...request,
          body: changed(body, steps, (inner) => ({ ...inner, [String(text)]: 'x' })),
        }),
      });
    for (const [key, inner] of Object.entries(value)) {
      const path = [...steps, key];
      const put = (text: unknown) => ({
        ...request,
        body: changed(body, steps, (of) =>
          Array.isArray(of) ? of.map((one, at) => (String(at) === key ? text : one)) : { ...of, [key]: text },
        ),
      });
      points.push({ where: `body ${path.join('.')}`, name: key, put });
      if (typeof inner === 'object' && inner !== null) collect(inner, path);
    }
  };
  collect(body, []);
  return points;
}

/** A copy with the value at the end of `steps` changed. */
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
