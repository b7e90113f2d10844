// A real SMTP server for `tests/it/peers_smtp.rs` and `tests/it/peers_smtp_oauth.rs`: login required,
// TLS from the first byte or by STARTTLS. Says one JSON object per line: {"port"} when it listens,
// then one per accepted mail, and {"refused"} for each token that is not taken.
// Environment: POSTROOM_NODE_MODULES, SECURITY (tls | starttls), CERTIFICATE, KEY; INTROSPECTION
// (address with name and password): access tokens instead of a password, asked about there (RFC 7662).
import { createRequire } from 'node:module';
import fs from 'node:fs';

const require = createRequire(process.env.POSTROOM_NODE_MODULES + '/here.js');
const { SMTPServer } = require('smtp-server');
const say = value => process.stdout.write(JSON.stringify(value) + '\n');

const introspection = process.env.INTROSPECTION && new URL(process.env.INTROSPECTION);

async function ofToken({ username, accessToken }) {
  const { origin, pathname, username: name, password } = introspection;
  const answer = await fetch(origin + pathname, {
    method: 'POST',
    headers: { authorization: 'Basic ' + Buffer.from(`${name}:${password}`).toString('base64') },
    body: new URLSearchParams({ token: accessToken }),
  });
  const { active, username: owner } = await answer.json();
  if (active && owner === username) return { user: owner };
  say({ refused: username });
  // Becomes a challenge that says why; the refusal itself follows our answer to it.
  return { data: { status: '401', schemes: 'bearer', scope: 'mail' } };
}

const server = new SMTPServer({
  secure: process.env.SECURITY === 'tls',
  key: fs.readFileSync(process.env.KEY),
  cert: fs.readFileSync(process.env.CERTIFICATE),
  authOptional: false,
  authMethods: introspection ? ['XOAUTH2'] : ['PLAIN', 'LOGIN'],
  size: 100000,
  disableReverseLookup: true,
  onAuth(auth, session, done) {
    if (introspection) {
      ofToken(auth).then(answer => done(null, answer), done);
      return;
    }
    const right = auth.username === 'desk' && auth.password === 'right';
    done(right ? null : Object.assign(new Error('wrong'), { responseCode: 535 }), { user: auth.username });
  },
  onRcptTo(address, session, done) {
    const unknown = address.address.startsWith('unknown');
    done(unknown ? Object.assign(new Error('no such user'), { responseCode: 550 }) : null);
  },
  onData(stream, session, done) {
    const chunks = [];
    stream.on('data', chunk => chunks.push(chunk));
    stream.on('end', () => {
      say({
        from: session.envelope.mailFrom.address ?? '',
        to: session.envelope.rcptTo.map(recipient => recipient.address),
        secure: session.secure,
        user: session.user,
        mail: Buffer.concat(chunks).toString('utf8'),
      });
      done(null, 'taken');
    });
  },
});
server.on('error', () => {});
const listener = server.listen(0, '127.0.0.1', () => say({ port: listener.address().port }));
process.stdin.on('end', () => process.exit(0)).resume();
