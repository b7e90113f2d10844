// A real SMTP server for `tests/it/peers_smtp.rs`: login required, TLS from the first byte or by
// STARTTLS. Says one JSON object per line: {"port"} when it listens, then one per accepted mail.
// Environment: POSTROOM_NODE_MODULES, SECURITY (tls | starttls), CERTIFICATE, KEY.
import { createRequire } from 'node:module';
import fs from 'node:fs';

const require = createRequire(process.env.POSTROOM_NODE_MODULES + '/here.js');
const { SMTPServer } = require('smtp-server');
const say = value => process.stdout.write(JSON.stringify(value) + '\n');

const server = new SMTPServer({
  secure: process.env.SECURITY === 'tls',
  key: fs.readFileSync(process.env.KEY),
  cert: fs.readFileSync(process.env.CERTIFICATE),
  authOptional: false,
  authMethods: ['PLAIN', 'LOGIN'],
  size: 100000,
  disableReverseLookup: true,
  onAuth(auth, session, done) {
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
