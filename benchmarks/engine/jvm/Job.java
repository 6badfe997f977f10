import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.module.blackbird.BlackbirdModule;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import org.msgpack.core.MessageBufferPacker;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessageUnpacker;

/** The job, whatever engine of the JVM runs it: bytes in, bytes out; for one thread. */
public final class Job {
    private static final LongAdder RECORDS = new LongAdder();
    private static final ObjectReader READ_CLICK =
            new ObjectMapper().registerModule(new BlackbirdModule()).readerFor(Click.class);

    private final MessageBufferPacker packer = MessagePack.newDefaultBufferPacker();

    /** What comes in, as JSON. */
    public record Click(
            String id, String type, String user, long amount, long at,
            Map<String, String> properties) {}

    /** What is kept and what goes out, as msgpack. */
    record Sums(long number, long total, long lastAt, Map<String, String> lastProperties) {
        Sums plus(Click click) {
            return new Sums(number + 1, total + click.amount(), click.at(), click.properties());
        }
    }

    /** The sums with one more click; known is null for a key's first. */
    byte[] add(byte[] known, byte[] click) throws IOException {
        Sums before = known == null ? new Sums(0, 0, 0, Map.of()) : read(known);
        Click event = READ_CLICK.readValue(click);
        RECORDS.increment();
        return write(before.plus(event));
    }

    /** What the process was told in its environment. */
    static String told(String name) {
        return System.getenv("ENGINE_" + name);
    }

    /** Answer with the number of records when asked. */
    static void sayProgress() throws IOException {
        int port = Integer.parseInt(told("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/metrics", exchange -> {
            byte[] answer = ("customeros_records_read_total " + RECORDS.sum() + "\n").getBytes();
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }

    private byte[] write(Sums sums) throws IOException {
        packer.clear();
        packer.packArrayHeader(4).packLong(sums.number).packLong(sums.total).packLong(sums.lastAt);
        packer.packMapHeader(sums.lastProperties.size());
        for (Map.Entry<String, String> property : sums.lastProperties.entrySet()) {
            packer.packString(property.getKey()).packString(property.getValue());
        }
        return packer.toByteArray();
    }

    private static Sums read(byte[] bytes) throws IOException {
        MessageUnpacker unpacker = MessagePack.newDefaultUnpacker(bytes);
        unpacker.unpackArrayHeader();
        long number = unpacker.unpackLong();
        long total = unpacker.unpackLong();
        long lastAt = unpacker.unpackLong();
        Map<String, String> properties = new LinkedHashMap<>();
        for (int left = unpacker.unpackMapHeader(); left > 0; left--) {
            properties.put(unpacker.unpackString(), unpacker.unpackString());
        }
        return new Sums(number, total, lastAt, properties);
    }
}
