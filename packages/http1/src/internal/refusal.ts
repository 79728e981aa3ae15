/** The one response that the server's machine makes by itself: an error before any response has begun, and the end of the connection. */
import { isFieldValue, reasonPhrase } from '@ferrata/headers';

/**
 * @param date value of Date
 * @param isBodyless the request is HEAD: the head alone
 * @throws {TypeError} when `date` is no field value
 */
export function formatRefusal(status: number, date: string, isBodyless: boolean): string {
  if (!isFieldValue(date)) throw new TypeError('invalid value of Date');
  const text = `${status} ${reasonPhrase(status)}`;
  const head = `HTTP/1.1 ${text}\r\nDate: ${date}\r\nContent-Type: text/plain\r\nContent-Length: ${text.length + 1}\r\n`;
  return `${head}Cache-Control: private, no-store\r\nConnection: close\r\n\r\n${isBodyless ? '' : `${text}\n`}`;
}
