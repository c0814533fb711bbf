/**
 * Which etcd this program behaves as, and which program it is. Harnesses read the first from `--version` and choose
 * spellings of flags by it; peers and `etcdctl` see it in every status.
 */

/** The release whose behaviour this is. */
export const ETCD_VERSION = '3.7.3';

/** The oldest cluster version that a member of this release can be in. */
export const MIN_CLUSTER_VERSION = '3.0.0';

export const IMPLEMENTATION_NAME = 'etcd-typescript';
export const IMPLEMENTATION_VERSION = '0.1.0';

/** Of the commit that a bundle was built from, if the environment of the build had `GIT_SHA`: packagers know it. */
declare const BUILD_GIT_SHA: string | undefined;
export const GIT_SHA = typeof BUILD_GIT_SHA === 'string' ? BUILD_GIT_SHA : 'Not provided';

export interface Platform {
  /** Node's name of the operating system, as `linux`. */
  readonly os: string;
  /** Node's name of the processor architecture, as `x64`. */
  readonly architecture: string;
  /** Node's version, as `v24.21.0`. */
  readonly nodeVersion: string;
}

/** The output of `etcd --version`: etcd's four lines, which programs parse, and one that names what really runs. */
export function versionText(platform: Platform): string {
  return [
    `etcd Version: ${ETCD_VERSION}`,
    `Git SHA: ${GIT_SHA}`,
    `Go Version: none (Node.js ${platform.nodeVersion})`,
    `Go OS/Arch: ${platform.os}/${goArchitecture(platform.architecture)}`,
    `Implementation: ${IMPLEMENTATION_NAME} ${IMPLEMENTATION_VERSION}`,
    '',
  ].join('\n');
}

/** Go's name of an architecture. */
function goArchitecture(architecture: string): string {
  return GO_ARCHITECTURES[architecture] ?? architecture;
}

const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };
