/**
 * A self-signed certificate for `localhost` and 127.0.0.1, valid for a hundred years, and its key. For tests only.
 */

const CERTIFICATE = [
  'MIIBmjCCAUGgAwIBAgIUcmMK61Ul04q/xZHHswmq4+OQ8pcwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAX',
  'DTI2MTEyMjA5NDY0NloYDzIxMjYxMDI5MDk0NjQ2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO',
  'PQMBBwNCAATl/yQLlUG/SscluTaCXblc4h7Y5HNxHPkfJ33zcAHfTOWX14ZQG4z/HD6LWOJSAPbBv0KOS0R833IE/z8353qg',
  'o28wbTAdBgNVHQ4EFgQUAFq0+SrY+C9wORRNMgb8BfyVazowHwYDVR0jBBgwFoAUAFq0+SrY+C9wORRNMgb8BfyVazowDwYD',
  'VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZIzj0EAwIDRwAwRAIgIyWrLXRohq2HhHQ/',
  'poJntBOz/Q9nRbZwhX6Ev8yyJyACIGtPhS11ezm1Q88+hGK2HiK2+VSlkaJazy4+XozalQyo',
];
const PRIVATE = [
  'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgW13jpP5vG96UvC7VOdX2URmmE3sWCZxLo8EklfpdwvahRANC',
  'AATl/yQLlUG/SscluTaCXblc4h7Y5HNxHPkfJ33zcAHfTOWX14ZQG4z/HD6LWOJSAPbBv0KOS0R833IE/z8353qg',
];

const ISSUER_CERTIFICATE = [
  'MIIBmDCCAT6gAwIBAgIUQ/LHf54cqPR6g1S5E+Rj/a3l/MgwCgYIKoZIzj0EAwIw',
  'FTETMBEGA1UEAwwKbG9naW4udGVzdDAgFw0yNjExMjgwOTM4MzFaGA8yMTI2MTEw',
  'NDA5MzgzMVowFTETMBEGA1UEAwwKbG9naW4udGVzdDBZMBMGByqGSM49AgEGCCqG',
  'SM49AwEHA0IABI7RfKvBswcNONub6cMXPwcM4vsy6NPuQ7lKGlxPxzweI2q09xAK',
  'hqBrE1Gscxbkng/cDBTEKoX94YFz1QJHGYOjajBoMB0GA1UdDgQWBBSsLfeuzMHT',
  '9/kQsEKhCv5e8tg0dzAfBgNVHSMEGDAWgBSsLfeuzMHT9/kQsEKhCv5e8tg0dzAP',
  'BgNVHRMBAf8EBTADAQH/MBUGA1UdEQQOMAyCCmxvZ2luLnRlc3QwCgYIKoZIzj0E',
  'AwIDSAAwRQIhALSvzlTEzrze64Q1YAPI8B4Au/qBb76cVYa0EcOzbpHdAiBq2Ygn',
  '2WvS6aq/UZRHMFdX0XpkkzClTTw/xyba1oI6Cg==',
];
const ISSUER_PRIVATE = [
  'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJFeBVSo9moMljSqt',
  '36eVq4ikrF/WrXbny189MGvjvCihRANCAASO0XyrwbMHDTjbm+nDFz8HDOL7MujT',
  '7kO5ShpcT8c8HiNqtPcQCoagaxNRrHMW5J4P3AwUxCqF/eGBc9UCRxmD',
];

export const TEST_CERT: string = pem('CERTIFICATE', CERTIFICATE);
export const TEST_CERT_KEY: string = pem('PRIVATE KEY', PRIVATE);

/** Self-signed, for `login.test`. No name server has that name (RFC 6761). */
export const ISSUER_CERT: string = pem('CERTIFICATE', ISSUER_CERTIFICATE);
export const ISSUER_CERT_KEY: string = pem('PRIVATE KEY', ISSUER_PRIVATE);

function pem(what: string, base64: readonly string[]): string {
  const lines = base64.join('').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${what}-----`, ...lines, `-----END ${what}-----`, ''].join('\n');
}
