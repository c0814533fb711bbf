/** Which of a member's URLs is in use: the one that worked, until it fails. */
import { assert, type EtcdUrl, parseUrls } from '@etcd/base';

export class UrlPicker {
  #urls: readonly EtcdUrl[];
  #picked = 0;

  constructor(urls: readonly EtcdUrl[]) {
    this.#urls = urls;
  }

  update(urls: readonly EtcdUrl[]): void {
    this.#urls = urls;
    this.#picked = 0;
  }

  pick(): EtcdUrl {
    const url = this.#urls[this.#picked];
    assert(url !== undefined, 'peer: a member has at least one URL');
    return url;
  }

  /** The next one is tried from now on, unless another has been picked meanwhile. */
  unreachable(url: EtcdUrl): void {
    if (this.#urls[this.#picked] === url) this.#picked = (this.#picked + 1) % this.#urls.length;
  }
}

/** null unless there is at least one and all are peer URLs. */
export function parsePeerUrls(texts: readonly string[]): readonly EtcdUrl[] | null {
  const { urls } = parseUrls(texts);
  return urls === undefined || urls.length === 0 ? null : urls;
}
