/** Dates in fields. @see RFC 9110 §5.6.7 */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** `Sun, 06 Nov 1994 08:49:37 GMT` */
const IMF_FIXDATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/;
/** `Sunday, 06-Nov-94 08:49:37 GMT`; obsolete, and to be read all the same. */
const RFC_850 = /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d) GMT$/;
/** `Sun Nov  6 08:49:37 1994`; likewise. */
const ASCTIME = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/;

/** Seconds since 1970, NaN for what is no date: a condition with one is ignored (RFC 9110 §13.1.3). */
export function parseHttpDate(text: string): number {
  const fixdate = IMF_FIXDATE.exec(text);
  if (fixdate !== null) {
    const [, day, month, year, hour, minute, second] = fixdate;
    return secondsOf(Number(year), month, day, hour, minute, second);
  }
  const old = RFC_850.exec(text);
  if (old !== null) {
    const [, day, month, year, hour, minute, second] = old;
    // Two digits of a year stand for 1970 to 2069: nobody has written this format since the last century but to test who reads it.
    return secondsOf(Number(year) + (Number(year) < 70 ? 2000 : 1900), month, day, hour, minute, second);
  }
  const asctime = ASCTIME.exec(text);
  if (asctime === null) return Number.NaN;
  const [, month, day, hour, minute, second, year] = asctime;
  return secondsOf(Number(year), month, day, hour, minute, second);
}

function secondsOf(year: number, monthName: string | undefined, ...rest: (string | undefined)[]): number {
  const month = MONTHS.indexOf(monthName ?? '');
  const [day = 0, hour = 0, minute = 0, second = 0] = rest.map(Number);
  // 60 is a leap second.
  if (month < 0 || hour > 23 || minute > 59 || second > 60) return Number.NaN;
  const date = new Date(Date.UTC(year, month, day, hour, minute, second));
  // `Date` would take the 31st of June for the 1st of July.
  if (new Date(Date.UTC(year, month, day)).getUTCMonth() !== month || day < 1) return Number.NaN;
  return date.getTime() / 1000;
}
