/** The text of `etcd --help`, made from the flag table so that it can't forget a flag. */
import { FLAG_SECTIONS, type FlagSection, type FlagSpec } from './flag-spec.ts';
import { flagSupport } from './flag-support.ts';
import { FLAG_TABLE } from './flag-table.ts';
import { LEGACY_FLAGS } from './legacy-flags.ts';

const WIDTH = 100;
const INDENT = '    ';

export function helpText(): string {
  const lines = [
    'Usage:',
    '',
    '  etcd [flags]                 Start a member.',
    '  etcd --version               Print the version and exit.',
    '  etcd --help, etcd -h         Print this text and exit.',
    '  etcd --config-file <path>    Start a member with the settings of a YAML or JSON file.',
    '  etcd --check-config …        Say whether a member could be started like this, and start nothing.',
    '  etcd gateway, etcd grpc-proxy  See etcd gateway --help, etcd grpc-proxy --help.',
    '',
    ...wrap(
      'A flag is written --name value, --name=value or with a single dash; booleans may stand alone. Every flag has ' +
        'an environment variable, ETCD_ and its name in capitals (ETCD_DATA_DIR); giving both is an error. ' +
        'Durations are written like 1h30m, 500ms. A configuration file replaces flags and environment; its keys ' +
        'are the names of the flags, its durations nanoseconds.',
      '',
    ),
  ];
  for (const section of Object.keys(FLAG_SECTIONS) as FlagSection[]) {
    if (section === 'ignored') continue;
    lines.push('', `${FLAG_SECTIONS[section]}:`);
    for (const spec of FLAG_TABLE.values()) if (spec.section === section) lines.push(...describe(spec));
  }
  const ignored = [...FLAG_TABLE.values()].filter((spec) => spec.kind === 'ignored');
  lines.push('', `${FLAG_SECTIONS.ignored}:`);
  lines.push(...wrap(ignored.map((spec) => `--${spec.name}`).join(' '), '  '));
  lines.push('', 'Spellings of older releases, still understood:');
  lines.push(...wrap([...LEGACY_FLAGS.keys()].map((name) => `--${name}`).join(' '), '  '));
  return `${lines.join('\n')}\n`;
}

function describe(spec: FlagSpec): string[] {
  const lines = [`  --${spec.name} '${spec.defaultText}'`, ...wrap(spec.help, INDENT)];
  const support = flagSupport(spec);
  if (support.status === 'no-effect') lines.push(`${INDENT}No effect: ${support.reason}.`);
  return lines;
}

function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    if (line.length > indent.length && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = indent;
    }
    line += line.length === indent.length ? word : ` ${word}`;
  }
  lines.push(line);
  return lines;
}
