BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE conversation_items (
	tenant_id VARCHAR NOT NULL, 
	conversation VARCHAR NOT NULL, 
	item_id VARCHAR NOT NULL, 
	position VARCHAR NOT NULL, 
	item TEXT, 
	CONSTRAINT pk_conversation_items PRIMARY KEY (tenant_id, conversation, item_id)
);
INSERT INTO "conversation_items" VALUES('tenant_c','conv_b','msg_b','00000000000000000000000008_0000','{"id":"msg_b","type":"message","role":"user","status":"completed","content":[{"type":"input_text","text":"Hi"}]}');
CREATE TABLE conversations (
	tenant_id VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	created_at DOUBLE NOT NULL, 
	metadata TEXT NOT NULL, 
	CONSTRAINT pk_conversations PRIMARY KEY (tenant_id, id)
);
INSERT INTO "conversations" VALUES('tenant_c','conv_b',1000.0,'{"a":"b"}');
CREATE TABLE item_ids (
	tenant_id VARCHAR NOT NULL, 
	item_id VARCHAR NOT NULL, 
	turn_id VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	CONSTRAINT pk_item_ids PRIMARY KEY (tenant_id, item_id, turn_id), 
	CONSTRAINT fk_item_ids_turn_id FOREIGN KEY(turn_id) REFERENCES turns (id) ON DELETE CASCADE
);
INSERT INTO "item_ids" VALUES('tenant_c','msg_given','turn_00000000000000000000000005','input');
CREATE TABLE messages (
	id VARCHAR NOT NULL, 
	tenant_id VARCHAR NOT NULL, 
	session_id VARCHAR, 
	turn_id VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	text TEXT NOT NULL, 
	tool_calls TEXT, 
	created_at DOUBLE NOT NULL, items TEXT, 
	CONSTRAINT pk_messages PRIMARY KEY (id), 
	CONSTRAINT fk_messages_turn_id FOREIGN KEY(turn_id) REFERENCES turns (id) ON DELETE CASCADE
);
INSERT INTO "messages" VALUES('msg_00000000000000000000000001','tenant_default',NULL,'turn_00000000000000000000000001','assistant','Hello!','[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]',1002.0,NULL);
INSERT INTO "messages" VALUES('msg_00000000000000000000000002','tenant_c',NULL,'turn_00000000000000000000000005','input','',NULL,1000.0,'[{"type":"message","role":"user","content":"First?"}]');
INSERT INTO "messages" VALUES('msg_00000000000000000000000003','tenant_c',NULL,'turn_00000000000000000000000005','assistant','First.',NULL,1002.0,'[{"type":"message","role":"assistant","content":"First."}]');
INSERT INTO "messages" VALUES('msg_00000000000000000000000004','tenant_c',NULL,'turn_00000000000000000000000007','input','',NULL,1000.0,'[{"type":"message","role":"user","content":"Third?"}]');
INSERT INTO "messages" VALUES('msg_00000000000000000000000005','tenant_c',NULL,'turn_00000000000000000000000007','assistant','Third.',NULL,1002.0,'[{"type":"message","role":"assistant","content":"Third."}]');
CREATE TABLE sessions (
	id VARCHAR NOT NULL, 
	tenant_id VARCHAR NOT NULL, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_sessions PRIMARY KEY (id)
);
CREATE TABLE tenants (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_tenants PRIMARY KEY (id)
);
INSERT INTO "tenants" VALUES('tenant_default','default',0.0);
CREATE TABLE turn_attempts (
	turn_id VARCHAR NOT NULL, 
	step INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	tenant_id VARCHAR NOT NULL, 
	provider VARCHAR NOT NULL, 
	upstream_model VARCHAR NOT NULL, 
	started_at DOUBLE NOT NULL, 
	ended_at DOUBLE NOT NULL, 
	result VARCHAR NOT NULL, 
	status_code INTEGER, 
	message TEXT, 
	input_tokens BIGINT, 
	output_tokens BIGINT, cost_micros BIGINT, 
	CONSTRAINT pk_turn_attempts PRIMARY KEY (turn_id, step, number), 
	CONSTRAINT fk_turn_attempts_turn_id FOREIGN KEY(turn_id) REFERENCES turns (id) ON DELETE CASCADE
);
INSERT INTO "turn_attempts" VALUES('turn_00000000000000000000000001',1,1,'tenant_default','openai','gpt-5.2',1000.1,1001.9,'answered',200,NULL,7,2,31);
INSERT INTO "turn_attempts" VALUES('turn_00000000000000000000000002',1,1,'tenant_default','openai','gpt-5.2',1000.1,1001.9,'answered',200,NULL,7,2,31);
INSERT INTO "turn_attempts" VALUES('turn_00000000000000000000000005',1,1,'tenant_c','openai','gpt-5.2',1000.1,1001.9,'answered',200,NULL,7,2,31);
INSERT INTO "turn_attempts" VALUES('turn_00000000000000000000000006',1,1,'tenant_c','openai','gpt-5.2',1000.1,1001.9,'answered',200,NULL,7,2,31);
INSERT INTO "turn_attempts" VALUES('turn_00000000000000000000000007',1,1,'tenant_c','openai','gpt-5.2',1000.1,1001.9,'answered',200,NULL,7,2,31);
CREATE TABLE turn_segments (
	turn_id VARCHAR NOT NULL, 
	first_seq BIGINT NOT NULL, 
	last_seq BIGINT NOT NULL, 
	tenant_id VARCHAR NOT NULL, 
	created_at DOUBLE NOT NULL, 
	blob BLOB NOT NULL, 
	CONSTRAINT pk_turn_segments PRIMARY KEY (turn_id, first_seq), 
	CONSTRAINT fk_turn_segments_turn_id FOREIGN KEY(turn_id) REFERENCES turns (id) ON DELETE CASCADE
);
INSERT INTO "turn_segments" VALUES('turn_00000000000000000000000001',0,2,'tenant_default',1001.0,X'9386A474797065A773746172746564A77475726E5F6964BF7475726E5F3030303030303030303030303030303030303030303030303031A56D6F64656CA96770742D6C61726765A870726F7669646572A66F70656E6169AE757073747265616D5F6D6F64656CA76770742D352E32AA637265617465645F6174CB408F40000000000082A474797065A474657874A564656C7461A348656C82A474797065A474657874A564656C7461A26C6F');
INSERT INTO "turn_segments" VALUES('turn_00000000000000000000000001',3,3,'tenant_default',1002.0,X'9182A474797065A474657874A564656C7461A121');
INSERT INTO "turn_segments" VALUES('turn_00000000000000000000000003',0,1,'tenant_default',1001.0,X'9286A474797065A773746172746564A77475726E5F6964BF7475726E5F3030303030303030303030303030303030303030303030303033A56D6F64656CA96770742D6C61726765A870726F7669646572A66F70656E6169AE757073747265616D5F6D6F64656CA76770742D352E32AA637265617465645F6174CB408F40000000000082A474797065A474657874A564656C7461A448616C66');
INSERT INTO "turn_segments" VALUES('turn_00000000000000000000000005',0,1,'tenant_c',1001.0,X'9286A474797065A773746172746564A77475726E5F6964BF7475726E5F3030303030303030303030303030303030303030303030303035A56D6F64656CA96770742D6C61726765A870726F7669646572A66F70656E6169AE757073747265616D5F6D6F64656CA76770742D352E32AA637265617465645F6174CB408F40000000000082A474797065A474657874A564656C7461A646697273742E');
INSERT INTO "turn_segments" VALUES('turn_00000000000000000000000007',0,1,'tenant_c',1001.0,X'9286A474797065A773746172746564A77475726E5F6964BF7475726E5F3030303030303030303030303030303030303030303030303037A56D6F64656CA96770742D6C61726765A870726F7669646572A66F70656E6169AE757073747265616D5F6D6F64656CA76770742D352E32AA637265617465645F6174CB408F40000000000082A474797065A474657874A564656C7461A654686972642E');
CREATE TABLE turn_steps (
	turn_id VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	tenant_id VARCHAR NOT NULL, 
	started_at DOUBLE NOT NULL, 
	ended_at DOUBLE NOT NULL, 
	finish VARCHAR, 
	CONSTRAINT pk_turn_steps PRIMARY KEY (turn_id, number), 
	CONSTRAINT fk_turn_steps_turn_id FOREIGN KEY(turn_id) REFERENCES turns (id) ON DELETE CASCADE
);
INSERT INTO "turn_steps" VALUES('turn_00000000000000000000000001',1,'tenant_default',1000.1,1001.9,'stop');
INSERT INTO "turn_steps" VALUES('turn_00000000000000000000000002',1,'tenant_default',1000.1,1001.9,'stop');
INSERT INTO "turn_steps" VALUES('turn_00000000000000000000000005',1,'tenant_c',1000.1,1001.9,'stop');
INSERT INTO "turn_steps" VALUES('turn_00000000000000000000000006',1,'tenant_c',1000.1,1001.9,'stop');
INSERT INTO "turn_steps" VALUES('turn_00000000000000000000000007',1,'tenant_c',1000.1,1001.9,'stop');
CREATE TABLE turns (
	id VARCHAR NOT NULL, 
	tenant_id VARCHAR NOT NULL, 
	session_id VARCHAR, 
	owner VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	reason VARCHAR, 
	disconnect_stage VARCHAR, 
	model VARCHAR NOT NULL, 
	provider VARCHAR, 
	upstream_model VARCHAR, 
	mode VARCHAR NOT NULL, 
	dialect VARCHAR NOT NULL, 
	dialect_options TEXT NOT NULL, 
	keep_text BOOLEAN NOT NULL, 
	error TEXT, 
	created_at DOUBLE NOT NULL, 
	first_token_at DOUBLE, 
	ended_at DOUBLE, 
	last_event BIGINT, 
	epoch INTEGER NOT NULL, previous_id VARCHAR, conversation VARCHAR, deleted_at DOUBLE, authority VARCHAR, verdicts TEXT, 
	CONSTRAINT pk_turns PRIMARY KEY (id)
);
INSERT INTO "turns" VALUES('turn_00000000000000000000000001','tenant_default',NULL,'own_dead','completed','stop',NULL,'gpt-large','openai','gpt-5.2','attached','openai-chat','{"include_usage":true}',1,NULL,1000.0,1000.5,1002.0,3,0,NULL,NULL,NULL,'creator',NULL);
INSERT INTO "turns" VALUES('turn_00000000000000000000000002','tenant_default',NULL,'own_dead','completed','stop',NULL,'gpt-large','openai','gpt-5.2','attached','openai-chat','{"include_usage":true}',0,NULL,1000.0,1000.5,1002.0,12,0,NULL,NULL,NULL,'creator',NULL);
INSERT INTO "turns" VALUES('turn_00000000000000000000000003','tenant_default',NULL,'own_dead','in_progress',NULL,NULL,'gpt-large',NULL,NULL,'attached','openai-chat','{"include_usage":true}',1,NULL,1000.0,NULL,NULL,NULL,0,NULL,NULL,NULL,'creator',NULL);
INSERT INTO "turns" VALUES('turn_00000000000000000000000004','tenant_b',NULL,'own_dead','in_progress',NULL,NULL,'gpt-large',NULL,NULL,'attached','openai-chat','{"include_usage":true}',1,NULL,1000.0,NULL,NULL,NULL,0,NULL,NULL,NULL,'creator',NULL);
INSERT INTO "turns" VALUES('turn_00000000000000000000000005','tenant_c',NULL,'own_dead','completed','stop',NULL,'gpt-large','openai','gpt-5.2','attached','openai-responses','{"echo":{"instructions":"Be nice."}}',1,NULL,1000.0,1000.5,1002.0,12,0,NULL,'conv_a',NULL,'creator',NULL);
INSERT INTO "turns" VALUES('turn_00000000000000000000000006','tenant_c',NULL,'own_dead','completed','stop',NULL,'gpt-large','openai','gpt-5.2','attached','openai-responses','{}',1,NULL,1000.0,1000.5,1002.0,12,0,'turn_00000000000000000000000005','conv_a',1900.0,'creator',NULL);
INSERT INTO "turns" VALUES('turn_00000000000000000000000007','tenant_c',NULL,'own_dead','completed','stop',NULL,'gpt-large','openai','gpt-5.2','attached','openai-responses','{"echo":{"instructions":"Be nice."}}',1,NULL,1000.0,1000.5,1002.0,12,0,'turn_00000000000000000000000006','conv_a',NULL,'external','[{"guard":"input","stage":"input","verdict":"rewrite","at":1000.5,"score":0.35}]');
CREATE TABLE usage_records (
	turn_id VARCHAR NOT NULL, 
	tenant_id VARCHAR NOT NULL, 
	input_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	cached_input_tokens BIGINT NOT NULL, 
	reasoning_tokens BIGINT NOT NULL, 
	estimated BOOLEAN NOT NULL, 
	cost_micros BIGINT NOT NULL, 
	created_at DOUBLE NOT NULL, cache_write_tokens BIGINT, 
	CONSTRAINT pk_usage_records PRIMARY KEY (turn_id), 
	CONSTRAINT fk_usage_records_turn_id FOREIGN KEY(turn_id) REFERENCES turns (id) ON DELETE CASCADE
);
INSERT INTO "usage_records" VALUES('turn_00000000000000000000000001','tenant_default',7,2,0,0,0,31,1002.0,0);
INSERT INTO "usage_records" VALUES('turn_00000000000000000000000002','tenant_default',7,2,0,0,0,31,1002.0,0);
INSERT INTO "usage_records" VALUES('turn_00000000000000000000000005','tenant_c',7,2,0,0,0,31,1002.0,0);
INSERT INTO "usage_records" VALUES('turn_00000000000000000000000006','tenant_c',7,2,0,0,0,31,1002.0,0);
INSERT INTO "usage_records" VALUES('turn_00000000000000000000000007','tenant_c',7,2,0,0,0,31,1002.0,3);
CREATE INDEX ix_sessions_tenant_id_id ON sessions (tenant_id, id);
CREATE INDEX ix_turns_tenant_id_status_id ON turns (tenant_id, status, id);
CREATE INDEX ix_turns_status_owner ON turns (status, owner);
CREATE INDEX ix_messages_turn_id_role ON messages (turn_id, role);
CREATE INDEX ix_turn_segments_created_at ON turn_segments (created_at);
CREATE INDEX ix_turns_tenant_id_id_previous_id ON turns (tenant_id, id, previous_id);
CREATE INDEX ix_turns_tenant_id_conversation_id ON turns (tenant_id, conversation, id) WHERE conversation IS NOT NULL AND deleted_at IS NULL AND keep_text = 1;
CREATE INDEX ix_turns_tenant_id_conversation ON turns (tenant_id, conversation) WHERE conversation IS NOT NULL AND ended_at IS NULL;
CREATE INDEX ix_item_ids_turn_id ON item_ids (turn_id);
CREATE INDEX ix_conversation_items_tenant_id_item_id ON conversation_items (tenant_id, item_id);
COMMIT;
