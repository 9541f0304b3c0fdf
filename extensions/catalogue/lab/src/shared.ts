/** Where a link that is given to others leads. No DOM here. */

/** The part of Lab's page configuration that says whether a Hub is there. */
export interface IPlace {
  /** Of the page, such as https://hub.example. */
  origin: string;
  /** Of this person's server, with its slash at the end. */
  baseUrl: string;
  /** Of the Hub, where it has another host than the server. */
  hubHost: string;
  /** Such as /hub/; empty without a Hub. */
  hubPrefix: string;
}

/** Lab's page as others can open it: in a Hub everybody's own, never this person's. */
export function labPage({ origin, baseUrl, hubHost, hubPrefix }: IPlace): string {
  const place = hubPrefix ? `${hubPrefix.replace(/\/?$/, '/')}user-redirect/lab` : `${baseUrl.replace(/\/?$/, '/')}lab`;
  return new URL(place, hubPrefix && hubHost ? hubHost : origin).href;
}
