/** What a scrape of `/metrics` says. */
export interface Scrape {
  /** The type of each metric. */
  readonly types: ReadonlyMap<string, string>;
  /** The value of each series, by its name and labels as they are printed. */
  readonly values: ReadonlyMap<string, number>;
  readonly text: string;
}

export async function scrape(baseUrl: string): Promise<Scrape> {
  return parseScrape(await (await fetch(`${baseUrl}/metrics`)).text());
}

function parseScrape(text: string): Scrape {
  const types = new Map<string, string>();
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type !== null) types.set(type[1]!, type[2]!);
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    values.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return { types, values, text };
}

/** The name of the metric that a series is of: without its labels, and without what a histogram or a summary adds. */
export function metricOf(series: string, types: Scrape['types']): string {
  const name = series.replace(/\{.*/s, '');
  if (types.has(name)) return name;
  return name.replace(/_(bucket|sum|count)$/, '');
}
