/**
 * `docs/flags.md`, written from the flag tables. Run this file to write it anew:
 * `node packages/server/src/config/flags-document.ts`.
 */
import { writeFileSync } from 'node:fs';
import { FEATURE_NAMES, FEATURES, IDLE_GATES } from './feature-gates.ts';
import { environmentName, FLAG_SECTIONS, type FlagSection, type FlagSpec } from './flag-spec.ts';
import { flagSupport } from './flag-support.ts';
import { FILE_SETTINGS, FLAG_TABLE } from './flag-table.ts';
import { LEGACY_FLAGS, type LegacyFlag, legacyReplacement } from './legacy-flags.ts';
import { markdownTable } from './markdown-table.ts';

export function flagsDocument(): string {
  return `${[...introduction(), ...flagSections(), ...fileSettings(), ...gates(), ...legacy()].join('\n')}\n`;
}

function introduction(): string[] {
  const counts = { acts: 0, 'no-effect': 0, ignored: 0 };
  for (const spec of FLAG_TABLE.values()) counts[flagSupport(spec).status]++;
  return [
    '# Flags',
    '',
    '<!-- Written by packages/server/src/config/flags-document.ts; change the tables there. -->',
    '',
    `All flags of etcd 3.7 are known. Of ${FLAG_TABLE.size}, ${counts.acts} act; ${counts['no-effect']} are accepted ` +
      'without effect, because',
    `doing nothing is harmless (a warning says so); ${counts.ignored} are relics that etcd itself accepts and ignores.`,
    '',
    '- A flag is written `--name value`, `--name=value` or with one dash; a boolean may stand alone.',
    '- Every flag has an environment variable: `ETCD_` and its name in capitals, dashes as underscores. Giving a flag',
    '  both ways ends the start. Unknown `ETCD_*` variables are named in a warning, without their value.',
    '- `ETCD_VERIFY` is no flag, as in etcd: with `all` or `storage_wal` a member looks at its data when it has loaded them, and when it',
    '  has stopped: the pages of the database, the key index and the leases against it, the log to its end, and that the database has',
    '  applied nothing that the log does not have committed. What is wrong ends the process with a line that says what, and where. A',
    '  database of more than 256 MiB is passed over. `npm test` sets it for every member that it starts.',
    '- `--config-file` (or `ETCD_CONFIG_FILE`) names a YAML or JSON file, and everything else is then ignored. Keys are the',
    "  flags' names unless the table says otherwise; durations are nanoseconds (`10m` is understood too); unknown keys are",
    '  named in a warning.',
    '- A malformed command line exits with 2, an impossible or unsupported value with 1. All mistakes are told at once, a line for each; those',
    '  of a file with path and line. `--check-config` does that, looks at the certificates too, and starts nothing.',
    '- Numbers that etcd accepts and then trips over are refused: negative intervals and limits, a negative retention, a',
    '  `--max-request-bytes` of 0 or above 1 GiB, ports above 65535.',
    '',
    '- `--memory-mlock` is a promise that no page of the member is swapped out. The runtime does not live with locked pages (it gives parts of',
    '  them back, which the kernel refuses for locked ones), so the promise is kept in another way, or the start ends with a line that says what',
    '  to do: the machine has no swap, or a control group above the member has `memory.swap.max` 0, as `MemorySwapMax=0` in a unit of systemd',
    '  and every Kubernetes pod without swap have. It is looked at once, at the start, and the log says what was found.',
    '',
    '## Finding the members of a new cluster',
    '',
    'Instead of a list (`--initial-cluster`) there can be:',
    '',
    '- `--discovery-srv`: a domain with records `_etcd-server._tcp.<domain>`, or `_etcd-server-ssl._tcp.<domain>` for members with TLS. A',
    '  member knows itself by the address behind its advertised peer URL. `--discovery-srv-name` tells several clusters of a domain apart.',
    '- `--discovery-token` and `--discovery-endpoints`: another etcd, at which the members register. Somebody has to put their number there',
    '  first: `etcdctl put /_etcd/registry/<token>/_config/size 3`. Etcd has this since 3.6.',
    '- `--discovery`: the URL of a service of the older kind, with the token. Etcd had this until 3.6; it is here for those who come from there.',
    '',
    'Each finds members of Go etcd too. A member that has a log asks nobody. A token serves once: a member that has lost its directory is',
    'refused, and comes back by `etcdctl member remove` and `member add`.',
    '',
    '## The version of the cluster',
    '',
    'The cluster version decides what may be written, and so which releases can still open the data directory. Go etcd',
    'raises it, for good, once every member could follow. Here `--max-cluster-version` decides how far this member goes when',
    'it leads:',
    '',
    ...markdownTable(
      ['value', 'a new cluster starts at', 'an existing cluster'],
      [
        [
          '`keep` (default)',
          'the version of its oldest member, as etcd has it',
          'keeps the version that it has',
        ],
        ['`3.5`, `3.6`, `3.7`', 'that version', 'is raised to it once all members can follow'],
      ],
    ),
    '',
    'A new cluster never starts above the version of its oldest member. No value lowers a version (`etcdctl downgrade` does), and a',
    'Go member that leads decides by its own rules. A leader that keeps its cluster below what all members could do says so once in',
    'its log (`the cluster keeps its version`), and by the metric `etcd_server_cluster_version_kept`.',
    '',
    'A cluster at 3.4 stays one that etcd 3.4 can be given back, and so do those at later versions for their releases: nothing gets',
    'into the log that these could not read. What raises the version closes the way back.',
  ];
}

function flagSections(): string[] {
  const lines: string[] = [];
  for (const section of Object.keys(FLAG_SECTIONS) as FlagSection[]) {
    const specs = [...FLAG_TABLE.values()].filter((spec) => spec.section === section);
    lines.push('', `## ${FLAG_SECTIONS[section]}`, '');
    if (section === 'ignored') {
      lines.push(`${specs.map((spec) => code(`--${spec.name}`)).join(', ')}.`);
      continue;
    }
    lines.push(...markdownTable(['flag', 'default', 'status', 'note'], specs.map(row)));
  }
  return lines;
}

function row(spec: FlagSpec): string[] {
  const support = flagSupport(spec);
  const notes = [spec.help];
  if (support.status === 'no-effect') notes.push(`(${support.reason})`);
  if (spec.configKey === null) notes.push('Not in a file.');
  else if (spec.configKey !== spec.name) notes.push(`File: ${code(spec.configKey)}.`);
  const defaultText = spec.defaultText === '' ? 'empty' : code(spec.defaultText);
  const status = support.status === 'no-effect' ? 'no effect' : support.status;
  return [code(`--${spec.name}`), defaultText, status, notes.join(' ')];
}

function fileSettings(): string[] {
  const rows = [...FILE_SETTINGS.values()].map((spec) => {
    const support = flagSupport(spec);
    const reason = support.status === 'no-effect' ? ` (no effect: ${support.reason})` : '';
    return [code(spec.name), spec.help + reason];
  });
  return ['', '## Settings of a file that have no flag', '', ...markdownTable(['key', 'note'], rows)];
}

function gates(): string[] {
  const rows = FEATURE_NAMES.map((name) => {
    const { stage, defaultValue } = FEATURES[name];
    return [code(name), stage.toLowerCase(), defaultValue ? 'on' : 'off', IDLE_GATES[name] ?? ''];
  });
  return [
    '',
    '## Feature gates',
    '',
    ...markdownTable(['gate', 'stage', 'default', 'has no effect, because'], rows),
  ];
}

function legacy(): string[] {
  const rows = [...LEGACY_FLAGS].map(([name, flag]) => [code(`--${name}`), fate(flag)]);
  return [
    '',
    '## Spellings of older releases',
    '',
    'etcd 3.7 refuses these. Here they keep working, with a warning, so that this program can take the place of a 3.4, 3.5 or',
    `3.6 under an unchanged command line, environment (${code(environmentName('experimental-…').replace('…', '*'))}) or file. An old ` +
      'spelling together with its replacement',
    'is refused.',
    '',
    ...markdownTable(['old', 'now'], rows),
  ];
}

function fate(flag: LegacyFlag): string {
  const replacement = legacyReplacement(flag);
  if (replacement !== null) return code(replacement);
  if (flag.means !== 'nothing' || flag.harmless === null) return 'no effect';
  const accepted = flag.kind === 'bool' ? 'false' : flag.harmless[0];
  return `no effect; anything but ${accepted === '' ? 'an empty value' : code(String(accepted))} is refused`;
}

function code(text: string): string {
  return `\`${text}\``;
}

if (import.meta.main) {
  writeFileSync(new URL('../../../../docs/flags.md', import.meta.url), flagsDocument());
}
