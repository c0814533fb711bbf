/**
 * Releases of Kubernetes, as far as what is made for an etcd differs from one to the next: images, certificates, probes, flags. A release
 * that is not listed is taken for the nearest that is.
 */
import { ConfigError } from './config-error.ts';

export interface Release {
  readonly minor: number;
  /** As `1.36.0`. */
  readonly version: string;
  readonly images: ReleaseImages;
}

interface ReleaseImages {
  readonly etcd: string;
  readonly pause: string;
  readonly coredns: string;
}

/** By minor version. */
const IMAGES: Readonly<Record<number, ReleaseImages>> = {
  16: { etcd: '3.3.15-0', pause: '3.1', coredns: '1.6.2' },
  17: { etcd: '3.4.3-0', pause: '3.1', coredns: '1.6.5' },
  18: { etcd: '3.4.3-0', pause: '3.2', coredns: '1.6.7' },
  19: { etcd: '3.4.13-0', pause: '3.2', coredns: '1.7.0' },
  20: { etcd: '3.4.13-0', pause: '3.2', coredns: '1.7.0' },
  21: { etcd: '3.4.13-0', pause: '3.4.1', coredns: 'v1.8.0' },
  22: { etcd: '3.5.0-0', pause: '3.5', coredns: 'v1.8.4' },
  23: { etcd: '3.5.1-0', pause: '3.6', coredns: 'v1.8.6' },
  24: { etcd: '3.5.3-0', pause: '3.7', coredns: 'v1.8.6' },
  25: { etcd: '3.5.4-0', pause: '3.8', coredns: 'v1.9.3' },
  26: { etcd: '3.5.6-0', pause: '3.9', coredns: 'v1.9.3' },
  27: { etcd: '3.5.7-0', pause: '3.9', coredns: 'v1.10.1' },
  28: { etcd: '3.5.9-0', pause: '3.9', coredns: 'v1.10.1' },
  29: { etcd: '3.5.10-0', pause: '3.9', coredns: 'v1.11.1' },
  30: { etcd: '3.5.12-0', pause: '3.9', coredns: 'v1.11.1' },
  31: { etcd: '3.5.15-0', pause: '3.10', coredns: 'v1.11.1' },
  32: { etcd: '3.5.16-0', pause: '3.10', coredns: 'v1.11.3' },
  33: { etcd: '3.5.21-0', pause: '3.10', coredns: 'v1.12.0' },
  34: { etcd: '3.6.4-0', pause: '3.10.1', coredns: 'v1.12.1' },
  35: { etcd: '3.6.6-0', pause: '3.10.1', coredns: 'v1.13.1' },
  36: { etcd: '3.6.9-0', pause: '3.10.2', coredns: 'v1.14.2' },
};
const OLDEST = 16;
const NEWEST = 36;

const DEFAULT_VERSION = `v1.${NEWEST}.0`;
/** Names that stand for the newest release, which others look up on the network. */
const LABELS = /^(stable|latest)(-1(\.\d+)?)?$/;

/** Throws {@link ConfigError}. */
export function releaseOf(text: string): Release {
  const known = text === '' || LABELS.test(text) ? DEFAULT_VERSION : text;
  const match = /^v?1\.(\d+)\.(\d+)(?:[-+].*)?$/.exec(known);
  if (match === null) {
    throw new ConfigError(
      `version ${JSON.stringify(text)} doesn't match patterns for neither semantic version nor labels (stable, latest, ...)`,
    );
  }
  const minor = Number(match[1]);
  const images = IMAGES[Math.min(NEWEST, Math.max(OLDEST, minor))]!;
  return { minor, version: known.replace(/^v/, ''), images };
}

/** `3.5`, from the tag of an image; the release's own where the tag says nothing. */
export function etcdMinorOf(release: Release, tag: string): number {
  const match = /^v?3\.(\d+)\./.exec(tag) ?? /^3\.(\d+)\./.exec(release.images.etcd);
  return Number(match![1]);
}

export function defaultRepository({ minor }: Release): string {
  return minor >= 25 ? 'registry.k8s.io' : 'k8s.gcr.io';
}

/** All that a control plane runs, in the order in which kubeadm lists it. */
export function imagesOf(release: Release, repository: string, etcdImage: string): string[] {
  const { version, minor, images } = release;
  const components = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy'];
  const own = components.map((name) => `${repository}/${name}:v${version}`);
  const dns = `${repository}/${minor >= 21 && repository === defaultRepository(release) ? 'coredns/' : ''}coredns:${images.coredns}`;
  const pause = `${repository}/pause:${images.pause}`;
  return minor >= 25 ? [...own, dns, pause, etcdImage] : [...own, pause, etcdImage, dns];
}
