/**
 * Environment variables that no definition may set: the dynamic linker, shells, interpreters and tools load or run what they
 * name, and Keyhold reads its settings from some. Upper and lower case are the same: they are on Windows.
 */

const PREFIXES = ['LD_', 'DYLD_', 'KEYHOLD_', 'BASH_FUNC_', 'GIT_CONFIG', 'NPM_CONFIG_'] as const;
const NAMES: ReadonlySet<string> = new Set([
  // Where programs, libraries and settings are found.
  ...[
    'PATH',
    'PATHEXT',
    'COMSPEC',
    'HOME',
    'USERPROFILE',
    'SHELL',
    'TMPDIR',
    'XDG_CONFIG_HOME',
    'GCONV_PATH',
  ],
  // Shells.
  ...['BASH_ENV', 'ENV', 'ZDOTDIR', 'IFS', 'SHELLOPTS', 'BASHOPTS', 'PS4', 'PROMPT_COMMAND'],
  // Interpreters and virtual machines.
  ...['NODE_OPTIONS', 'NODE_PATH', 'NODE_EXTRA_CA_CERTS', 'PYTHONSTARTUP', 'PYTHONPATH', 'PYTHONHOME'],
  ...[
    'PYTHONINSPECT',
    'PYTHONBREAKPOINT',
    'PERL5OPT',
    'PERL5LIB',
    'PERL5DB',
    'PERLLIB',
    'RUBYOPT',
    'RUBYLIB',
  ],
  ...['JAVA_TOOL_OPTIONS', '_JAVA_OPTIONS', 'JDK_JAVA_OPTIONS', 'CLASSPATH', 'PHPRC', 'PHP_INI_SCAN_DIR'],
  ...['LUA_INIT', 'LUA_PATH', 'LUA_CPATH', 'DOTNET_STARTUP_HOOKS', 'R_PROFILE', 'R_PROFILE_USER'],
  // Commands and files that tools run or load.
  ...['GIT_SSH', 'GIT_SSH_COMMAND', 'GIT_EXTERNAL_DIFF', 'GIT_ASKPASS', 'GIT_EDITOR', 'GIT_SEQUENCE_EDITOR'],
  ...['GIT_PAGER', 'GIT_PROXY_COMMAND', 'GIT_EXEC_PATH', 'GIT_TEMPLATE_DIR', 'SSH_ASKPASS', 'SUDO_ASKPASS'],
  ...[
    'EDITOR',
    'VISUAL',
    'PAGER',
    'MANPAGER',
    'BROWSER',
    'LESSOPEN',
    'LESSCLOSE',
    'RUSTC_WRAPPER',
    'MAKEFLAGS',
  ],
  ...['OPENSSL_CONF', 'OPENSSL_MODULES', 'OPENSSL_ENGINES'],
]);

/** Whether a value in the variable could make a program load or run something else, or change settings of Keyhold. */
export function changesPrograms(name: string): boolean {
  const upper = name.toUpperCase();
  return NAMES.has(upper) || PREFIXES.some((prefix) => upper.startsWith(prefix));
}
