/** What to try after an error, for people at a terminal. */

const HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /certificate|unable to verify|unknown authority|self-signed/i,
    'name the authority of the server with --cacert, and with --cert and --key who you are',
  ],
  [
    /context deadline exceeded|connection refused|ECONNREFUSED/,
    'does a member listen there, and does it speak TLS (https)? --endpoints or ETCDCTL_ENDPOINTS name others',
  ],
  [
    /user name is empty|invalid auth token/,
    'this cluster has users: --user NAME, which asks for the password',
  ],
  [/permission denied/, "'etcdctl user get NAME' and 'etcdctl role get NAME' say who may do what"],
  [/authentication failed/, 'the name of the user, or the password, is wrong'],
  [
    /database space exceeded/,
    "make room: 'etcdctl compaction REVISION', 'etcdctl defrag', then 'etcdctl alarm disarm'",
  ],
  [/revision has been compacted/, 'what is that old is gone: leave out --rev, or name a later revision'],
  [/snapshot must be requested to one/, 'name one member with --endpoints'],
  [/shadowed by corresponding command-line flag/, 'unset the variable, or leave out the flag'],
  [/unhealthy cluster|no leader/, "'etcdctl endpoint status --cluster -w table' shows every member"],
  [/member ID arg/, "'etcdctl member list' shows the ids"],
  [/lease ID arg|requested lease not found/, "'etcdctl lease list' shows the ids"],
];

export function hintFor(message: string): string | null {
  return HINTS.find(([pattern]) => pattern.test(message))?.[1] ?? null;
}
