/**
 * Makes host names lead to servers of the test on this machine, in any process: loaded with `--require` by child processes
 * and by the tests themselves. Names without a route do not exist, so no test reaches the internet.
 *
 * A route is a name or `*.domain`, and the port that connections to port 443 of the name go to. KEYHOLD_TEST_ROUTES has
 * them as JSON; KEYHOLD_TEST_LOOKUPS is a file that gets each name that is resolved, one a line.
 */
const { appendFileSync } = require('node:fs');
const dns = require('node:dns');
const { syncBuiltinESMExports } = require('node:module');
const { isIP } = require('node:net');
const tls = require('node:tls');

const HTTPS_PORT = 443;
const ADDRESS = '127.0.0.1';

/** @type {Map<string, number>} */
const routes = new Map(Object.entries(JSON.parse(process.env.KEYHOLD_TEST_ROUTES ?? '{}')));
/** @type {string[]} */
const lookups = [];

/** @param {string} name */
function portOf(name) {
  return routes.get(name) ?? routes.get(name.replace(/^[^.]+/, '*'));
}

/** @param {string} name */
function addressOf(name) {
  lookups.push(name);
  if (process.env.KEYHOLD_TEST_LOOKUPS) appendFileSync(process.env.KEYHOLD_TEST_LOOKUPS, `${name}\n`);
  if (name === 'localhost' || isIP(name) !== 0) return isIP(name) === 0 ? ADDRESS : name;
  if (portOf(name) !== undefined) return ADDRESS;
  throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND', hostname: name });
}

/** Overrides the resolver and the port of TLS connections of this process. */
function install() {
  dns.lookup = (name, options, callback = options) => {
    try {
      const record = { address: addressOf(name), family: isIP(name) || 4 };
      if (options?.all) process.nextTick(callback, null, [record]);
      else process.nextTick(callback, null, record.address, record.family);
    } catch (error) {
      process.nextTick(callback, error);
    }
  };
  dns.promises.lookup = async (name, options) => {
    const record = { address: addressOf(name), family: isIP(name) || 4 };
    return options?.all ? [record] : record;
  };
  const connect = tls.connect;
  tls.connect = (options, ...rest) => {
    const port = typeof options === 'object' ? portOf(options.servername || options.host || '') : undefined;
    const is_routed = port !== undefined && Number(options.port) === HTTPS_PORT;
    return connect(is_routed ? { ...options, port } : options, ...rest);
  };
  syncBuiltinESMExports();
}

if (process.env.KEYHOLD_TEST_ROUTES !== undefined) install();
module.exports = { routes, lookups, addressOf, install };
