import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Comparator;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** The job on Flink, its cluster in this process: `java OnFlink CHECKPOINT_SECONDS`. */
public final class OnFlink {
    // Bytes cross the shuffle, which is cheaper than the click as an object.
    private static final TypeInformation<byte[]> BYTES =
            PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
    private static final TypeInformation<Tuple2<String, byte[]>> KEYED =
            Types.TUPLE(Types.STRING, BYTES);

    /** Sums by key. */
    static final class Summing
            extends KeyedProcessFunction<String, Tuple2<String, byte[]>, Tuple2<String, byte[]>> {
        private transient Job job;
        private transient ValueState<byte[]> sums;

        @Override
        public void open(OpenContext context) {
            job = new Job();
            sums = getRuntimeContext().getState(new ValueStateDescriptor<>("sums", BYTES));
        }

        @Override
        public void processElement(
                Tuple2<String, byte[]> event, Context context, Collector<Tuple2<String, byte[]>> out)
                throws IOException {
            byte[] after = job.add(sums.value(), event.f1);
            sums.update(after);
            out.collect(Tuple2.of(event.f0, after));
        }
    }

    /** A record as it came. */
    static final class Reading implements KafkaRecordDeserializationSchema<Tuple2<String, byte[]>> {
        @Override
        public void deserialize(
                ConsumerRecord<byte[], byte[]> record, Collector<Tuple2<String, byte[]>> out) {
            out.collect(
                    Tuple2.of(new String(record.key(), StandardCharsets.UTF_8), record.value()));
        }

        @Override
        public TypeInformation<Tuple2<String, byte[]>> getProducedType() {
            return KEYED;
        }
    }

    /** Of a record as it goes; a lambda would not tell Flink its types. */
    static final class Key implements SerializationSchema<Tuple2<String, byte[]>> {
        @Override
        public byte[] serialize(Tuple2<String, byte[]> sums) {
            return sums.f0.getBytes(StandardCharsets.UTF_8);
        }
    }

    /** Of a record as it goes. */
    static final class Value implements SerializationSchema<Tuple2<String, byte[]>> {
        @Override
        public byte[] serialize(Tuple2<String, byte[]> sums) {
            return sums.f1;
        }
    }

    public static void main(String[] arguments) {
        try {
            run(Double.parseDouble(arguments[0]));
        } catch (Exception error) {
            error.printStackTrace();
            System.exit(1); // the thread that tells the progress would go on
        }
    }

    private static void run(double checkpointSeconds) throws Exception {
        Path folder = Path.of(Job.told("FOLDER")).toAbsolutePath();
        Job.sayProgress();
        var environment =
                StreamExecutionEnvironment.getExecutionEnvironment(
                        configuration(folder, checkpointSeconds));
        environment
                .fromSource(source(), WatermarkStrategy.noWatermarks(), "clicks", KEYED)
                .keyBy(event -> event.f0, Types.STRING)
                .process(new Summing(), KEYED)
                .sinkTo(sink());
        environment.execute(Job.told("NAME"));
    }

    private static Configuration configuration(Path folder, double checkpointSeconds)
            throws IOException {
        Path checkpoints = Files.createDirectories(folder.resolve("checkpoints"));
        Path scratch = Files.createDirectories(folder.resolve("scratch"));
        Configuration told = Configuration.fromMap(Map.ofEntries(
                Map.entry("parallelism.default", "1"),
                Map.entry("pipeline.object-reuse", "true"),
                Map.entry("state.backend.type", "rocksdb"),
                Map.entry("execution.checkpointing.incremental", "true"),
                Map.entry("execution.checkpointing.mode", "EXACTLY_ONCE"),
                Map.entry(
                        "execution.checkpointing.interval",
                        Math.round(checkpointSeconds * 1000) + " ms"),
                Map.entry("execution.checkpointing.storage", "filesystem"),
                Map.entry("execution.checkpointing.dir", checkpoints.toUri().toString()),
                Map.entry(
                        "execution.checkpointing.externalized-checkpoint-retention",
                        "RETAIN_ON_CANCELLATION"),
                Map.entry("io.tmp.dirs", scratch.toString()),
                Map.entry("rest.address", "127.0.0.1"),
                Map.entry("rest.bind-address", "127.0.0.1"),
                Map.entry("taskmanager.host", "127.0.0.1"),
                Map.entry("taskmanager.bind-host", "127.0.0.1")));
        // What a cluster's high availability does after a crash: go on at the newest checkpoint.
        newest(checkpoints).ifPresent(path -> {
            told.setString("execution.state-recovery.path", path.toUri().toString());
            told.setString("execution.state-recovery.claim-mode", "CLAIM");
        });
        return told;
    }

    private static Optional<Path> newest(Path checkpoints) throws IOException {
        try (var found = Files.find(
                checkpoints, 3, (path, __) -> path.endsWith("_metadata"))) {
            return found.max(Comparator.comparing(OnFlink::modified)).map(Path::getParent);
        }
    }

    private static FileTime modified(Path path) {
        try {
            return Files.getLastModifiedTime(path);
        } catch (IOException error) {
            return FileTime.fromMillis(0);
        }
    }

    private static KafkaSource<Tuple2<String, byte[]>> source() {
        return KafkaSource.<Tuple2<String, byte[]>>builder()
                .setBootstrapServers(Job.told("BOOTSTRAP"))
                .setTopics(Job.told("SOURCE"))
                .setGroupId(Job.told("NAME"))
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setProperty("isolation.level", "read_committed")
                .setDeserializer(new Reading())
                .build();
    }

    private static KafkaSink<Tuple2<String, byte[]>> sink() {
        Properties properties = new Properties();
        // Its own hour is more than a broker allows.
        properties.put("transaction.timeout.ms", "600000");
        return KafkaSink.<Tuple2<String, byte[]>>builder()
                .setBootstrapServers(Job.told("BOOTSTRAP"))
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(Job.told("NAME"))
                // Without it every checkpoint leaves the broker another transactional id.
                .setTransactionNamingStrategy(TransactionNamingStrategy.POOLING)
                .setKafkaProducerConfig(properties)
                .setRecordSerializer(
                        KafkaRecordSerializationSchema.<Tuple2<String, byte[]>>builder()
                                .setTopic(Job.told("OUTPUT"))
                                .setKeySerializationSchema(new Key())
                                .setValueSerializationSchema(new Value())
                                .build())
                .build();
    }
}
