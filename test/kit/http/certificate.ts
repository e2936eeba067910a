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

export const TEST_CERT: string = pem('CERTIFICATE', CERTIFICATE);
export const TEST_CERT_KEY: string = pem('PRIVATE KEY', PRIVATE);

function pem(what: string, base64: readonly string[]): string {
  const lines = base64.join('').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${what}-----`, ...lines, `-----END ${what}-----`, ''].join('\n');
}
